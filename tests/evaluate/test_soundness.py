"""A sound model passes; what is broken is found, by name, and nothing breaks the check."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import CheckpointError, UsageError
from aboard.evaluate import CHECKS, Finding, Outcome, Report, check
from aboard.evaluate.report import finding
from engine.made import SMALL, made
from evaluate.speaking import Tensors, shape, speaking, token_id, with_values
from tiny import tiny_llama
from tiny_gguf import Tensor, float32_tensor

Change = Callable[[Tensors], object]
Q = "blk.0.attn_q.weight"


def names(report: Report) -> list[str]:
    return [each.name for each in report.findings]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return speaking(tmp_path_factory.mktemp("model") / "sound.gguf")


def test_a_sound_model_passes_everything_that_applies(sound: Path) -> None:
    report = check(sound)

    assert report.sound
    assert report.named(Outcome.WARN) == ()
    assert report.named(Outcome.SKIP) == ("tools", "copying", "code")
    assert names(report) == list(CHECKS)


def test_findings_are_told_as_they_come(sound: Path) -> None:
    told: list[Finding] = []

    report = check(str(sound), threads=1, told=told.append)

    assert tuple(told) == report.findings


def test_a_loaded_model_is_checked_as_it_is(sound: Path) -> None:
    model = aboard.load(sound, threads=1)

    assert check(model) == check(sound)


def test_progress_goes_from_the_weights_to_the_last_text(sound: Path) -> None:
    told: list[tuple[str, int, int]] = []

    check(sound, progress=lambda *step: told.append(step))

    n_bytes = sum(tensor.size_bytes for tensor in open_gguf(sound).tensors.values())
    stages = list(dict.fromkeys(stage for stage, _, _ in told))
    assert stages == ["examine", "load", "text"]
    assert ("examine", n_bytes, n_bytes) in told
    for stage in stages:
        done, totals = zip(*[step[1:] for step in told if step[0] == stage], strict=True)
        assert list(done) == sorted({*done})
        assert {done[-1]} == {*totals}


def test_the_figures_are_those_of_the_activations_that_were_asked_for(sound: Path) -> None:
    exact = check(sound, activations="float32")

    assert exact.sound
    assert exact == check(aboard.load(sound, activations="float32"))
    assert exact["perplexity"].figures != check(sound)["perplexity"].figures


def test_other_activations_than_those_of_a_loaded_model_are_refused(sound: Path) -> None:
    with pytest.raises(UsageError, match="activations is 'float32', but the model was loaded"):
        check(aboard.load(sound), activations="float32")


@pytest.mark.parametrize(("more", "outcome"), [(0, Outcome.PASS), (1, Outcome.WARN)])
def test_what_stands_behind_the_last_tensor_is_told(
    sound: Path, tmp_path: Path, more: int, outcome: Outcome
) -> None:
    content = sound.read_bytes()
    (tmp_path / "longer.gguf").write_bytes(content + bytes(-len(content) % 32 + more))

    report = check(tmp_path / "longer.gguf")

    assert report["file"].outcome == outcome
    assert ("1 bytes stand behind" in report["file"].found) == bool(more)
    assert report.sound


def test_threads_are_checked_before_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        check(tmp_path / "nothing.gguf", threads=0)


def test_a_file_that_is_not_there_is_no_finding(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nothing"):
        check(tmp_path / "nothing.gguf")


def test_random_weights_predict_nothing(tmp_path: Path) -> None:
    report = check(tiny_llama(tmp_path / "random.gguf"))

    assert not report.sound
    assert {"perplexity", "word-order"} <= {*report.named(Outcome.FAIL)}


def without(*tensors: str) -> Change:
    return lambda found: [found.pop(name) for name in tensors]


def with_tensor(name: str, tensor: Tensor) -> Change:
    return lambda found: found.update({name: tensor})


def at(index: tuple[int, ...], value: float) -> Callable[[np.ndarray], np.ndarray]:
    def edit(values: np.ndarray) -> np.ndarray:
        values[index] = value
        return values

    return edit


def always(letters: str) -> Callable[[np.ndarray], np.ndarray]:
    """The head of a model that says one token, whatever came before."""

    def edit(head: np.ndarray) -> np.ndarray:
        head[token_id(letters)] = np.abs(head).max()
        return head

    return edit


WRONG_TENSORS = {
    "missing": (without(Q), "tensors", f"{Q} is missing"),
    "of another shape": (
        with_tensor(Q, float32_tensor(np.ones((32, 32), np.float32))),
        "tensors",
        f"{Q} is (32, 32), expected (32, {shape().width})",
    ),
    "unknown": (
        with_tensor("blk.0.attn_other.bias", float32_tensor(np.ones(32, np.float32))),
        "tensors",
        "blk.0.attn_other.bias is not used",
    ),
    "NaN": (with_values(Q, at((3, 5), np.nan)), "finite-weights", f"{Q} has 1 values of NaN"),
    "infinite": (
        with_values("blk.0.attn_norm.weight", at((7,), np.inf)),
        "finite-weights",
        "blk.0.attn_norm.weight has 1 values",
    ),
}


@pytest.mark.parametrize(("change", "name", "words"), WRONG_TENSORS.values(), ids=WRONG_TENSORS)
def test_a_wrong_tensor_is_named_and_the_model_not_run(
    tmp_path: Path, change: Change, name: str, words: str
) -> None:
    report = check(speaking(tmp_path / "wrong.gguf", change=change))

    assert report.named(Outcome.FAIL) == (name,)
    assert words in report[name].found
    assert report["loading"].outcome == report["perplexity"].outcome == Outcome.SKIP
    assert report["round-trip"].outcome == Outcome.PASS
    assert names(report) == list(CHECKS)


def test_all_wrong_tensors_are_counted(tmp_path: Path) -> None:
    lost = ["attn_q", "attn_k", "attn_v", "attn_output", "ffn_up"]

    report = check(
        speaking(tmp_path / "wrong.gguf", change=without(*(f"blk.0.{x}.weight" for x in lost)))
    )

    assert report["tensors"].found.endswith("; and 2 more")


ODD_TENSORS = {
    "zeros": (with_values(Q, np.zeros_like), "zero-weights", f"{Q} is 0 throughout"),
    "one value": (with_values(Q, np.ones_like), "zero-weights", f"{Q} is 1 throughout"),
    "a norm of zeros": (
        with_values("blk.0.ffn_norm.weight", np.zeros_like),
        "zero-weights",
        "blk.0.ffn_norm.weight is 0",
    ),
    "huge": (with_values(Q, at((0, 0), 1e6)), "weight-scales", f"{Q} holds 1e+06"),
    "tiny": (with_values(Q, lambda x: x * 1e-6), "weight-scales", f"{Q} has a root mean square"),
}


@pytest.mark.parametrize(("change", "name", "words"), ODD_TENSORS.values(), ids=ODD_TENSORS)
def test_an_odd_tensor_is_a_warning(tmp_path: Path, change: Change, name: str, words: str) -> None:
    report = check(speaking(tmp_path / "odd.gguf", change=change))

    assert report.sound
    assert report.named(Outcome.WARN) == (name,)
    assert words in report[name].found


def test_a_scale_unlike_those_of_other_layers_is_a_warning(tmp_path: Path) -> None:
    change = with_values("blk.1.ffn_up.weight", lambda x: x * 16)
    path = made(tmp_path / "odd.gguf", replace(SMALL, layers=3), change=change)

    report = check(path)

    assert "blk.1.ffn_up.weight has a root mean square" in report["weight-scales"].found


DUMB = {
    "tokens shifted by one": (
        with_values("token_embd.weight", lambda x: np.roll(x, 1, axis=0)),
        {"perplexity", "word-order"},
    ),
    "a head of noise": (
        with_values("output.weight", lambda x: np.random.default_rng(0).permuted(x, axis=0)),
        {"perplexity", "word-order"},
    ),
    "one word for ever": (with_values("output.weight", always("Ġdog")), {"greedy-text"}),
    "the end at once": (with_values("output.weight", always("<|im_end|>")), {"greedy-text"}),
    "logits beyond float32": (
        with_values("output.weight", lambda x: x * 1e38),
        {"greedy-text", "perplexity"},
    ),
}


@pytest.mark.parametrize(("change", "failing"), DUMB.values(), ids=DUMB)
def test_a_model_that_cannot_speak_is_unsound(
    tmp_path: Path, change: Change, failing: set[str]
) -> None:
    report = check(speaking(tmp_path / "dumb.gguf", change=change))

    assert failing <= {*report.named(Outcome.FAIL)}
    assert names(report) == list(CHECKS)


def test_a_file_without_a_tokenizer_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    path = speaking(tmp_path / "ids.gguf", metadata={"tokenizer.ggml.model": None})

    report = check(path)

    assert report.sound
    assert report["tokenizer"].outcome == Outcome.WARN
    assert report["loading"].outcome == Outcome.PASS
    assert report["perplexity"].outcome == Outcome.SKIP


def test_an_unknown_architecture_is_checked_as_far_as_it_goes(tmp_path: Path) -> None:
    path = speaking(tmp_path / "new.gguf", metadata={"general.architecture": "new"})

    report = check(path)

    assert report.named(Outcome.FAIL) == ("architecture",)
    assert "'new'" in report["architecture"].found
    assert report["finite-weights"].outcome == report["end-of-turn"].outcome == Outcome.PASS


def test_a_context_too_short_to_read_anything_is_told(tmp_path: Path) -> None:
    path = speaking(tmp_path / "short.gguf", metadata={"llama.context_length": 1})

    report = check(path)

    assert report.sound
    assert report["perplexity"].found == "a context of 1 tokens is too short"


@pytest.mark.parametrize("context", [64, 100, 500])
def test_a_short_context_reads_in_windows(tmp_path: Path, context: int) -> None:
    path = speaking(tmp_path / "short.gguf", metadata={"llama.context_length": context})

    report = check(path)

    assert report.named(Outcome.FAIL) == report.named(Outcome.WARN) == ()
    assert report["copying"].outcome == Outcome.SKIP


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.02, 0.5, 0.999])
def test_a_file_cut_short_fails_as_a_file(tmp_path: Path, sound: Path, kept: float) -> None:
    data = sound.read_bytes()
    path = tmp_path / "cut.gguf"
    path.write_bytes(data[: int(len(data) * kept)])

    report = check(path)

    assert report.named(Outcome.FAIL) == ("file",)
    assert report.named(Outcome.PASS) == ()
    assert names(report) == list(CHECKS)


@pytest.mark.parametrize("fmt", ["F16", "BF16", "Q8_0", "Q4_1", "Q4_K", "Q6_K", "MXFP4"])
def test_scales_of_nan_fail_in_every_format(tmp_path: Path, fmt: str) -> None:
    path = tiny_llama(tmp_path / "broken.gguf", fmt=fmt, width=256, ffn=256)
    with open_gguf(path) as file:
        start = file.tensors[Q].offset
    with path.open("r+b") as raw:
        raw.seek(start)
        raw.write(b"\xff" * 512)

    report = check(path)

    assert "finite-weights" in report.named(Outcome.FAIL)
    assert Q in report["finite-weights"].found


def test_what_fails_and_warns_for_one_reason_says_it_once() -> None:
    found = finding("perplexity", "less", "", failures=["9 bits"], warnings=["9 bits", "slow"])

    assert found.found == "9 bits; slow"
