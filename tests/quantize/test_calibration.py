"""Which tokens a model is calibrated on."""

from collections.abc import Sequence

import numpy as np
import pytest

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.errors import UsageError
from aboard.quantize.calibration import Calibration, calibrate, calibration_of
from aboard.quantize.calibration_texts import conversations, documents
from tiny import CHATML, tokenizer_metadata

LONG = "".join(f"Sentence number {i} says that {i} is followed by {i + 1}.\n" for i in range(3000))
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML
)


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_gguf(tokenizer_metadata(259))


def text_of(calibration: Calibration, tokenizer: Tokenizer) -> str:
    return "".join(
        tokenizer.decode(window.tolist(), skip_special=False) for window in calibration.windows
    )


def test_built_in_texts_are_enough_and_of_every_kind(tokenizer: Tokenizer) -> None:
    found = calibrate(tokenizer, None)

    text = text_of(found, tokenizer)
    assert found.windows.shape[1] == 512
    assert found.windows.dtype == np.int32
    assert found.windows.size >= 8192
    assert set(found.sources) == {"built in"}
    for part in ("ferry", "def ", "SELECT", "Zug", "桥", '"type": "object"', "assistant: "):
        assert part in text


def test_windows_are_held_out_evenly() -> None:
    ids = np.arange(64 * 20, dtype=np.int32)

    found = calibration_of({"a": ids[: 64 * 9 + 5], "b": ids[64 * 9 + 5 :]}, window=64)

    assert found.windows.shape == (19, 64)
    assert found.n_held_out == 3
    assert found.sources == {"a": 64 * 9, "b": 64 * 10}
    starts = found.windows[:, 0]
    assert len(set(starts.tolist())) == 19
    assert (np.diff(starts[:-3]) > 0).all()
    assert (np.diff(starts[-3:]) > 0).all()


def test_the_hash_tells_tokens_and_windows_apart() -> None:
    ids = np.arange(1024, dtype=np.int32)
    other = ids.copy()
    other[1000] = 7

    hashes = {
        calibration_of({"a": ids}, window=64).sha256,
        calibration_of({"a": ids}, window=128).sha256,
        calibration_of({"a": other}, window=64).sha256,
    }

    assert len(hashes) == 3
    assert calibration_of({"other name": ids}, window=64).sha256 in hashes


def test_conversations_are_written_by_the_template(tokenizer: Tokenizer) -> None:
    found = calibrate(tokenizer, ChatTemplate({"default": CHATML}))

    text = text_of(found, tokenizer)
    assert text.count("<|im_start|>system") >= 1
    assert text.count("<|im_start|>assistant\n") > 5
    assert "assistant: " not in text


def test_a_template_that_knows_no_system_gets_none(tokenizer: Tokenizer) -> None:
    found = calibrate(tokenizer, ChatTemplate({"default": NO_SYSTEM}))

    text = text_of(found, tokenizer)
    assert "<|im_start|>system" not in text
    assert text.count("<|im_start|>assistant\n") > 5


def test_a_template_that_refuses_all_is_done_without(tokenizer: Tokenizer) -> None:
    found = calibrate(tokenizer, ChatTemplate({"default": "{{ raise_exception('never') }}"}))

    assert "assistant: " in text_of(found, tokenizer)


def test_the_users_text_comes_from_all_over_it(tokenizer: Tokenizer) -> None:
    found = calibrate(tokenizer, None, texts={"mine.txt": LONG}, n_tokens=40_960)

    text = text_of(found, tokenizer)
    assert found.windows.size <= 40_960
    assert found.sources["mine.txt"] > 5000
    assert "number 10 says" in text
    assert "number 29" in text


def test_the_model_writes_what_is_missing(tokenizer: Tokenizer) -> None:
    asked: list[int] = []

    def write(beginnings: Sequence[Sequence[int]], n_tokens: int, left: int) -> list[list[int]]:
        asked.append(left)
        return [[65 + number % 26] * n_tokens for number in range(len(beginnings))]

    found = calibrate(
        tokenizer,
        ChatTemplate({"default": CHATML}),
        texts={"mine.txt": LONG[:16_000]},
        generate=write,
        n_tokens=65_536,
    )

    assert asked == sorted(asked, reverse=True)
    assert asked[0] == found.sources["generated"]
    assert found.sources["generated"] >= 4096
    assert found.sources["mine.txt"] == 16_000 // 512 * 512
    assert found.windows.size == 65_536


def test_a_model_that_writes_little_is_not_asked_for_ever(tokenizer: Tokenizer) -> None:
    found = calibrate(
        tokenizer, None, generate=lambda beginnings, *_: [[] for _ in beginnings], n_tokens=65_536
    )

    assert found.sources.get("generated", 0) < 4096


def test_a_template_that_refuses_questions_asks_none(tokenizer: Tokenizer) -> None:
    refusing = ChatTemplate({"default": "{{ raise_exception('never') }}"})
    asked: list[Sequence[Sequence[int]]] = []

    def write(beginnings: Sequence[Sequence[int]], n_tokens: int, left: int) -> list[list[int]]:
        asked.append(beginnings)
        return [[65] * n_tokens for _ in beginnings]

    calibrate(tokenizer, refusing, generate=write, n_tokens=65_536)

    assert all(len(beginning) < 16 for beginnings in asked for beginning in beginnings)


def test_a_short_text_is_refused_by_its_name(tokenizer: Tokenizer) -> None:
    with pytest.raises(UsageError, match=r"notes\.txt: .* has 6 tokens, expected 512") as caught:
        calibrate(tokenizer, None, texts={"notes.txt": "Hello."})

    assert caught.value.hint


def test_too_few_tokens_are_refused() -> None:
    with pytest.raises(UsageError, match="has 1000 tokens, expected 1024 at least"):
        calibration_of({"mine.txt": np.zeros(1000, np.int32)})


def test_control_tokens_in_texts_are_no_control_tokens(tokenizer: Tokenizer) -> None:
    forged = "<|im_start|>system\n" * 400

    found = calibrate(tokenizer, None, texts={"forged.txt": forged}, n_tokens=65_536)

    assert not np.isin(found.windows, [256, 257, 258]).any()


def test_built_in_texts_are_whole() -> None:
    assert len(documents()) > 40
    assert all(text.strip() for text in documents())
    roles = [[message["role"] for message in talk] for talk in conversations()]
    assert all(talk[-1] == "assistant" for talk in roles)
