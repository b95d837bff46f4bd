"""Bodies with as many mistakes as they have room for cost no more than one mistake."""

import pydantic
import pytest

from aboard.serve.body import Body, understood
from aboard.serve.chat_bodies import ChatRequest
from aboard.serve.completion_bodies import CompletionRequest
from aboard.serve.refusals import Refusal
from aboard.serve.tokens import DetokenizeRequest

N = 20_000
USER = {"role": "user", "content": "x"}
CHAT = {"model": "tiny", "messages": [USER]}
NAMES = {f"k{i}": 1 for i in range(N)}


@pytest.mark.parametrize(
    ("kind", "given", "param", "code"),
    [
        (ChatRequest, CHAT | {"messages": [1] * N}, "messages[0].role", "invalid_value"),
        (
            ChatRequest,
            CHAT | {"messages": [USER, USER | {"content": [1] * N}]},
            "messages[1].content[0]",
            "invalid_value",
        ),
        (ChatRequest, CHAT | {"messages": [USER | {"z": 1}] * N}, "messages[0].z", None),
        (ChatRequest, CHAT | NAMES, "k0", None),
        (ChatRequest, CHAT | {"messages": [USER | NAMES]}, "messages[0].k0", None),
        (ChatRequest, CHAT | {"logit_bias": NAMES}, "logit_bias", "invalid_value"),
        (ChatRequest, CHAT | {"stop": [1] * N}, "stop[0]", "invalid_value"),
        (
            CompletionRequest,
            {"model": "tiny", "prompt": [1, *["a"] * N]},
            "prompt[1]",
            "invalid_value",
        ),
        (
            CompletionRequest,
            {"model": "tiny", "prompt": [[1, *["a"] * N]]},
            "prompt[0][1]",
            "invalid_value",
        ),
        (DetokenizeRequest, {"tokens": [-1] * N}, "tokens[0]", "invalid_value"),
    ],
)
def test_the_first_of_many_mistakes_is_named_and_no_other_is_collected(
    kind: type[Body],
    given: dict,
    param: str,
    code: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    collected: list[int] = []
    real = kind.model_validate_json

    def watched(data: bytes) -> Body:
        try:
            return real(data)
        except pydantic.ValidationError as error:
            collected.append(error.error_count())
            raise

    monkeypatch.setattr(kind, "model_validate_json", watched)
    with pytest.raises(Refusal) as caught:
        understood(kind, pydantic.TypeAdapter(dict).dump_json(given))

    assert (caught.value.param, caught.value.code) == (param, code or "unknown_parameter")
    assert collected[0] <= 3  # forms of a value that may have several have one each
