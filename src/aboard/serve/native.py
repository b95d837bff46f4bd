"""`/completion`: prompts are continued, for clients written for llama.cpp's server."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, RootModel
from starlette.responses import Response

from aboard.serve.answers import Answers, Ask
from aboard.serve.asking import require_few, require_room, response_to, seeded
from aboard.serve.endpoint import Call, Endpoint
from aboard.serve.event_stream import StreamForm
from aboard.serve.native_bodies import (
    OWN_NAMES,
    BiasEntry,
    GenerationSettings,
    NativeAlternative,
    NativeCompletion,
    NativeEvent,
    NativeProbability,
    NativeRequest,
    TextPrompt,
    Timings,
    Whole,
)
from aboard.serve.news import End, TextDelta
from aboard.serve.refusals import Refusal, blamed
from aboard.serve.response_format import Form, compiled
from aboard.serve.spoken import Said, written

if TYPE_CHECKING:
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.engine import Request, Sampling
    from aboard.serve.served import ServedModel


class NativeAnswer(RootModel[NativeCompletion | list[NativeCompletion] | dict[str, Any]]):
    """An answer, a list of them where several prompts are given, or the fields asked for."""


async def native(call: Call[NativeRequest]) -> Response:
    """Continue prompts, all at once or as it comes."""
    service = call.service
    served = service.models.named(call.body.model)
    body = served.defaults.into(call.body, **OWN_NAMES)
    require_few(service.limits, len(body.prompts), "prompt")
    with blamed("prompt"):
        prompts = await service.aside(_prompts, served, body.prompts)
    for prompt in prompts:
        require_room(served, len(prompt), body.most_tokens, "prompt")
    sampling = await service.aside(_sampling, body, served.model.tokenizer)
    grammar = await compiled(call, served, _form_of(body))
    asks = [
        Ask(
            prompt=prompt,
            sampling=drawn,
            max_tokens=None if body.most_tokens is None else max(body.most_tokens, 1),
            stop=tuple(body.stop),
            constraint=grammar,
            top_logprobs=body.n_probs,
        )
        for prompt in prompts
        for drawn in seeded(sampling, None if body.seed < 0 else body.seed, 1)
    ]
    answers = Answers(call, served, asks, per_prompt=1, owner="")
    writer = _Writer(served, body, asks, answers)
    return await response_to(
        call,
        answers,
        whole=writer.whole,
        events=writer.events,
        stream=body.stream,
        form=StreamForm(last=None),
    )


def _prompts(served: ServedModel, given: Iterable[Whole]) -> list[list[int]]:
    """The prompts, tokenized; of a mixed one, a text that it begins with has BOS before it."""
    encode = served.model.tokenizer.encode
    prompts = []
    for each in given:
        parts = [each.prompt_string] if isinstance(each, TextPrompt) else each
        tokens: list[int] = []
        for at, part in enumerate([parts] if isinstance(parts, str) else parts):
            tokens += [part] if isinstance(part, int) else encode(part, add_special=at == 0)
        prompts.append(served.model.checked_tokens(tokens).tolist())
    return prompts


def _form_of(body: NativeRequest) -> Form | None:
    from aboard.constrain import Grammar

    schema = body.json_schema
    if schema is None:
        return None
    return Form(lambda: Grammar.json_schema(schema), "json_schema")


def _sampling(body: NativeRequest, tokenizer: Tokenizer) -> Sampling:
    from aboard.engine import Sampling

    names = ("temperature", "top_k", "top_p", "min_p", "presence_penalty", "frequency_penalty")
    return Sampling(
        **{name: getattr(body, name) for name in names},
        repetition_penalty=body.repeat_penalty,
        logit_bias=_bias(body, tokenizer) or None,
    )


def _bias(body: NativeRequest, tokenizer: Tokenizer) -> dict[int, float]:
    """What is added to the logits of which tokens; the last word on one counts.

    Raises
    ------
    Refusal
        It names a token that is none.
    """
    given = body.logit_bias
    pairs: Sequence[tuple[int | str, float | bool]]
    pairs = list(given.items()) if isinstance(given, dict) else given
    bias: dict[int, float] = {}
    for what, value in pairs:
        tokens = [what] if isinstance(what, int) else _tokens(what, tokenizer)
        bias |= dict.fromkeys(tokens, -math.inf if value is False else float(value))
    if max(bias, default=0) >= tokenizer.n_vocabulary:
        raise Refusal(
            400,
            f"logit_bias: there is no token {max(bias)}, expected 0 to "
            f"{tokenizer.n_vocabulary - 1}",
            code="invalid_value",
            param="logit_bias",
        )
    return bias | dict.fromkeys(tokenizer.stop_ids if body.ignore_eos else (), -math.inf)


def _tokens(text: str, tokenizer: Tokenizer) -> list[int]:
    if text.isdecimal() and text.isascii():
        return [int(text[:18])]
    return tokenizer.encode(text, add_special=False)


class _Writer:
    """Writes answers down."""

    def __init__(
        self, served: ServedModel, body: NativeRequest, asks: Sequence[Ask], answers: Answers
    ) -> None:
        self._served = served
        self._body = body
        self._asks = asks
        self._answers = answers
        self._tokenizer = served.model.tokenizer
        self._lines: set[int] = set()  # answers that have a line feed

    async def whole(self) -> BaseModel:
        """All answers, once they are complete."""
        body, given = self._body, []
        for each in await self._answers.whole():
            tokens = [said.step.token for said in each.tokens] if body.return_tokens else []
            self._note_line(each.index, each.text)
            end = End(each.index, each.finish_reason, each.stop)
            text, said = (each.text, each.tokens) if body.most_tokens != 0 else ("", [])
            given.append(self._ended(end, text, tokens, said))
        fields = body.response_fields
        answers = [_only(each, fields) if fields else each for each in given]
        return NativeAnswer.model_validate(answers if body.several else answers[0])

    async def events(self) -> AsyncGenerator[BaseModel]:
        """The answers as they come."""
        async for news in self._answers.news():
            match news:
                case TextDelta() if news.tokens or news.text:
                    self._note_line(news.index, news.text)
                    yield self._event(news)
                case End():
                    yield self._ended(news, "", [], [])

    def _note_line(self, index: int, text: str) -> None:
        if "\n" in text:
            self._lines.add(index)

    def _event(self, news: TextDelta) -> NativeEvent:
        request = self._answers.requests[news.index]
        probabilities = self._probabilities(news.tokens)
        return NativeEvent(
            index=news.index,
            content=news.text,
            tokens=[said.step.token for said in news.tokens],
            stop=False,
            tokens_predicted=request.timing.generated_tokens,
            tokens_evaluated=request.n_prompt,
            **probabilities,
        )

    def _ended(
        self, end: End, text: str, tokens: list[int], said: Sequence[Said]
    ) -> NativeCompletion:
        request, ask = self._answers.requests[end.index], self._asks[end.index]
        n_predicted = request.timing.generated_tokens
        limited = end.finish_reason == "length"
        return NativeCompletion(
            index=end.index,
            content=text,
            tokens=tokens,
            stop=True,
            model=self._served.name,
            system_fingerprint=self._served.fingerprint,
            prompt=self._tokenizer.decode(ask.prompt, skip_special=False),
            tokens_predicted=n_predicted,
            tokens_evaluated=request.n_prompt,
            tokens_cached=request.timing.cached_tokens,
            generation_settings=self._settings(ask),
            has_new_line=end.index in self._lines,
            truncated=limited and n_predicted != ask.max_tokens,
            stop_type="limit" if limited else "eos" if end.stop is None else "word",
            stopping_word=end.stop or "",
            timings=_timings(request),
            **self._probabilities(said),
        )

    def _settings(self, ask: Ask) -> GenerationSettings:
        body, most = self._body, self._body.most_tokens
        bias = ask.sampling.logit_bias or {}
        same = (
            *("temperature", "top_k", "top_p", "min_p", "repeat_penalty", "presence_penalty"),
            *("frequency_penalty", "stop", "ignore_eos", "n_probs", "stream"),
        )
        return GenerationSettings(
            n_predict=-1 if most is None else most,
            seed=ask.sampling.seed,
            logit_bias=[
                BiasEntry(token=token, bias=value if math.isfinite(value) else None)
                for token, value in bias.items()
            ],
            **{name: getattr(body, name) for name in same},
        )

    def _probabilities(self, said: Sequence[Said]) -> dict[str, Any]:
        if not self._body.n_probs:
            return {}
        return {"completion_probabilities": [self._probability(each) for each in said]}

    def _probability(self, said: Said) -> NativeProbability:
        step = said.step
        likely = [NativeAlternative(**self._named(*each)) for each in step.top]
        return NativeProbability(**self._named(step.token, step.logprob), top_logprobs=likely)

    def _named(self, token: int, logprob: float | None) -> dict[str, Any]:
        piece = self._tokenizer.piece(token)
        return {"id": token, "token": written(piece), "bytes": list(piece), "logprob": logprob}


def _timings(request: Request) -> Timings:
    timing = request.timing
    computed = timing.prompt_tokens - timing.cached_tokens
    following = max(timing.generated_tokens - 1, 0)  # the first comes with the prompt
    prompt_ms, decode_ms = 1e3 * timing.prompt_s, 1e3 * timing.decode_s
    return Timings(
        cache_n=timing.cached_tokens,
        prompt_n=computed,
        prompt_ms=prompt_ms,
        prompt_per_token_ms=prompt_ms / computed if computed else 0.0,
        prompt_per_second=timing.prompt_tokens_per_s or 0.0,
        predicted_n=timing.generated_tokens,
        predicted_ms=decode_ms,
        predicted_per_token_ms=decode_ms / following if following else 0.0,
        predicted_per_second=timing.decode_tokens_per_s or 0.0,
    )


def _only(answer: NativeCompletion, fields: Iterable[str]) -> dict[str, Any]:
    """Some fields of an answer, under the names that they were asked by; none that there isn't."""
    whole = answer.model_dump(exclude_unset=True)
    found: dict[str, Any] = {}
    for field in fields:
        value: Any = whole
        for part in field.split("/"):
            value = value.get(part) if isinstance(value, dict) else None
        if value is not None:
            found[field] = value
    return found


ENDPOINTS = (
    Endpoint(
        method="POST",
        path="/completion",
        also=("/completions",),
        handle=native,
        summary="Continue prompts as they stand, in the words of llama.cpp's server.",
        takes=NativeRequest,
        gives=NativeAnswer,
        streams=NativeEvent,
        statuses=(404, 429, 503, 504),
    ),
)
