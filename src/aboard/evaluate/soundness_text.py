"""Does the model speak, and does it predict English as a model of its size should?

The limits are measured, not derived: docs/experiments.md has the figures of sound models and of
models broken in thirty ways, docs/guide/check.md what these checks can't see.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aboard.engine import EmbeddingModel, Model, load
from aboard.errors import AboardError, NotEnoughMemory, NumericalError, UsageError
from aboard.evaluate.perplexity import Rows, token_losses
from aboard.evaluate.report import Finding, Outcome, finding
from aboard.evaluate.subject import Subject
from aboard.evaluate.texts import BEFORE_PASSAGE, CODE, OPENING, PASSAGE, PROSE
from aboard.progress import Progress

LOADING = ("loading",)
TEXT = ("greedy-text", "perplexity", "word-order", "copying", "code")

CONTEXT = 1024
"""Tokens that these checks need at most."""

_LEAST_CONTEXT = 64
_N_GREEDY = 48
_LONGEST_RUN = 16  # of one token; sound models repeat sentences, but not single tokens
_N_LOGITS = 1 << 21  # computed together: 8 MiB
_SEED = 0  # of the shuffled words

# Bits for each byte of prose. Sound: 0.95 (Gemma 3 270M), 1.0 (SmolLM2-135M), 1.9 (stories260K).
_ODD_BITS, _WRONG_BITS = 1.25, 1.6
# A model with a tenth of the weights of `_FULL_SIZE` may have so many bits more.
_BITS_PER_DECADE, _FULL_SIZE = 0.4, 1e8
# Loss in order over loss shuffled. Sound: 0.28 to 0.44. Rope of the wrong pairs: 0.71 to 0.95.
_ODD_ORDER, _WRONG_ORDER = 0.55, 0.65
# Loss of a passage read again over that of reading it first. Sound: 0.01 to 0.04.
_ODD_COPY = 0.15
_GROWN_UP = 20_000_000  # weights; smaller models needn't have learnt to copy, or to read code
_TEXT_BYTES = sum(len(text.encode()) for text in (PROSE, PASSAGE, PROSE, CODE))
_N_LEAD = 8  # tokens until it is clear what is being repeated


def check_loading(subject: Subject) -> Iterator[Finding]:
    """Whether the engine takes the model; it stays in `subject`."""
    expected = "the engine takes the file"
    if subject.model is None:
        context = min(CONTEXT, subject.config.context_length) if subject.config else None
        size_bytes = subject.file.size_bytes if subject.file else 0
        subject.progress("load", 0, size_bytes)
        try:
            subject.model = load(
                subject.path,
                threads=subject.threads,
                context=context,
                activations=subject.activations,
                prefix_cache_bytes=0,
            )
        except NotEnoughMemory:
            raise  # says nothing about the model
        except AboardError as error:
            yield finding(LOADING[0], expected, "", failures=[str(error)])
            return
        subject.progress("load", size_bytes, size_bytes)
    found = f"{subject.model.weights_bytes:,} bytes of weights"
    yield finding(LOADING[0], expected, found)


def check_text(subject: Subject) -> Iterator[Finding]:
    """What the model writes, and how well it predicts."""
    assert subject.model is not None
    told = ""
    if isinstance(subject.model, EmbeddingModel):
        told = "an encoder makes no text"
    elif subject.model.context_length < _LEAST_CONTEXT:
        told = f"a context of {subject.model.context_length} tokens is too short"
    if told:
        for name in TEXT:
            yield Finding(name=name, outcome=Outcome.SKIP, found=told)
        return
    subject.progress("text", 0, _TEXT_BYTES)
    yield _greedy_text(subject.model)
    yield from _prediction(subject.model, subject.n_parameters, subject.progress)


def _greedy_text(model: Model) -> Finding:
    expected = f"goes on for {_N_GREEDY} tokens, never {_LONGEST_RUN} times the same"
    prompt = model.tokenizer.encode(OPENING)[: model.context_length - 1]
    room = min(_N_GREEDY, model.context_length - len(prompt))
    try:
        with model.session() as session:
            steps = list(session.generate(prompt, max_tokens=room, logprobs=False))
            ended = session.finish_reason == "stop"
    except (NumericalError, UsageError) as error:  # logits of NaN, an id without a text
        return finding(TEXT[0], expected, "", failures=[str(error)])
    text = "".join(step.text for step in steps)
    tokens = [step.token for step in steps]
    n_run = _longest_run(tokens)
    failures, warnings = [], []
    if ended and not text.strip():
        failures.append("ends at once")
    elif ended:
        warnings.append(f"ends after {len(tokens)} tokens, in the middle of a story: {text!r}")
    if n_run >= _LONGEST_RUN:
        failures.append(f"repeats {model.tokenizer.decode(tokens[-1:])!r} {n_run} times")
    return finding(
        TEXT[0],
        expected,
        repr(text),
        failures=failures,
        warnings=warnings,
        figures={"n_tokens": len(tokens), "longest_run": n_run, "n_different": len({*tokens})},
    )


def _longest_run(tokens: Sequence[int]) -> int:
    """How often at most one token follows itself, the first included."""
    longest = run = 0
    for at, token in enumerate(tokens):
        run = run + 1 if at and token == tokens[at - 1] else 1
        longest = max(longest, run)
    return longest


@dataclass(frozen=True, slots=True, kw_only=True)
class _Losses:
    """Mean losses in nats a token, but for the bits per byte."""

    bits: float
    ordered: float
    shuffled: float
    uniform: float
    first: float
    again: float | None  # None: the context is too short for both
    code_bits: float


def _prediction(model: Model, n_parameters: int, progress: Progress) -> Iterator[Finding]:
    try:
        losses = _measure(model, progress)
    except NumericalError as error:
        yield finding("perplexity", "finite losses", "", failures=[str(error)])
        return
    decades = max(math.log10(_FULL_SIZE / n_parameters), 0.0)
    yield _perplexity(losses, _BITS_PER_DECADE * decades)
    yield _word_order(losses)
    yield _copying(losses, n_parameters)
    yield _code(losses, n_parameters)


def _perplexity(losses: _Losses, allowance: float) -> Finding:
    odd, wrong = _ODD_BITS + allowance, _WRONG_BITS + allowance
    told = (
        f"{losses.bits:.2f} bits a byte, perplexity {_exp(losses.ordered):,.1f} "
        f"of {_exp(losses.uniform):,.0f}"
    )
    is_wrong = losses.bits > wrong or losses.ordered >= losses.uniform
    return finding(
        "perplexity",
        f"at most {odd:.2f} bits for each byte of plain English; above {wrong:.2f}, or worse than "
        "guessing, the model is broken",
        told,
        failures=[told] if is_wrong else [],
        warnings=[told] if losses.bits > odd else [],
        figures={
            "bits_per_byte": losses.bits,
            "nats": losses.ordered,
            "perplexity": _exp(losses.ordered),
            "uniform_nats": losses.uniform,
        },
    )


def _word_order(losses: _Losses) -> Finding:
    ratio = losses.ordered / losses.shuffled
    told = (
        f"{losses.ordered:.2f} nats a token in order, {losses.shuffled:.2f} shuffled: {ratio:.2f}"
    )
    return finding(
        "word-order",
        f"in order at most {_ODD_ORDER} of the loss of the same tokens shuffled; above "
        f"{_WRONG_ORDER} the model can't make use of their order",
        told,
        failures=[told] if ratio > _WRONG_ORDER else [],
        warnings=[told] if ratio > _ODD_ORDER else [],
        figures={"ratio": ratio, "shuffled_nats": losses.shuffled},
    )


def _copying(losses: _Losses, n_parameters: int) -> Finding:
    if losses.again is None:
        return Finding(name="copying", outcome=Outcome.SKIP, found="the context is too short")
    ratio = losses.again / losses.first
    told = f"{losses.first:.2f} nats a token, {losses.again:.2f} when it comes again: {ratio:.2f}"
    figures = {"ratio": ratio, "first_nats": losses.first, "again_nats": losses.again}
    if n_parameters < _GROWN_UP:
        return _too_small("copying", told, figures)
    return finding(
        "copying",
        f"a passage that comes again at most {_ODD_COPY} of its loss before",
        told,
        warnings=[told] if ratio > _ODD_COPY else [],
        figures=figures,
    )


def _code(losses: _Losses, n_parameters: int) -> Finding:
    told = f"{losses.code_bits:.2f} bits a byte of Python"
    figures = {"bits_per_byte": losses.code_bits}
    if n_parameters < _GROWN_UP:
        return _too_small("code", told, figures)
    return finding(
        "code",
        f"at most {_ODD_BITS} bits for each byte",
        told,
        warnings=[told] if losses.code_bits > _ODD_BITS else [],
        figures=figures,
    )


def _too_small(name: str, told: str, figures: Mapping[str, float]) -> Finding:
    return Finding(
        name=name,
        outcome=Outcome.SKIP,
        found=f"{told}; of so small a model nothing is expected",
        figures=figures,
    )


def _measure(model: Model, progress: Progress) -> _Losses:
    done_bytes = 0

    def losses(ids: Sequence[int], *texts: str) -> npt.NDArray[np.float64]:
        nonlocal done_bytes
        tokens = [*start, *ids]
        found = token_losses(lambda part: _rows(model, part), tokens, window=window)
        done_bytes += sum(len(text.encode()) for text in texts)
        progress("text", done_bytes, _TEXT_BYTES)
        return found

    def encode(text: str) -> list[int]:
        return model.tokenizer.encode(text, add_special=False)

    bos_id, window = model.tokenizer.bos_id, min(model.context_length, CONTEXT)
    start = [bos_id] if model.tokenizer.adds_bos and bos_id is not None else []
    prose, passage, code = encode(PROSE), encode(PASSAGE), encode(CODE)
    # One pass for both readings of the passage, where the context has room for them.
    fits = len(start) + len(prose) + len(passage) <= window
    read = losses([*prose, *passage] if fits else prose, PROSE, PASSAGE)
    n_read = len(prose) - (not start)
    ordered, again = read[:n_read], read[n_read:]
    before = len(encode(BEFORE_PASSAGE))
    order = np.random.default_rng(_SEED).permutation(len(prose))
    shuffled = losses([prose[at] for at in order], PROSE)
    return _Losses(
        bits=_bits_per_byte(ordered, PROSE),
        ordered=float(ordered.mean()),
        shuffled=float(shuffled.mean()),
        uniform=math.log(model.config.n_vocabulary),
        first=float(ordered[before : before + len(passage)].mean()),
        again=float(again[_N_LEAD:].mean()) if fits else None,
        code_bits=_bits_per_byte(losses(code, CODE), CODE),
    )


def _rows(model: Model, tokens: Sequence[int]) -> Iterator[Rows]:
    """The logits after each token, a bounded piece of them at a time."""
    step = max(_N_LOGITS // model.config.n_vocabulary, 1)
    with model.session() as session:
        for first in range(0, len(tokens), step):
            yield session.logits(tokens[first : first + step])


def _bits_per_byte(losses: npt.NDArray[np.float64], text: str) -> float:
    """A token that wasn't scored, the first of a window, costs next to nothing of the mean."""
    return float(losses.sum() / math.log(2) / len(text.encode()))


def _exp(nats: float) -> float:
    return math.exp(min(nats, 700.0))
