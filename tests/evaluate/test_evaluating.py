"""`evaluate` against torch (golden files), against plain arithmetic, and against bad input."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.errors import AboardError, NumericalError, UsageError
from aboard.evaluate import Evaluation, evaluate, evaluate_together, perplexity
from aboard.evaluate.scorers import Scorer
from aboard.evaluate.text_scores import sum_up
from aboard.evaluate.text_windows import Window
from aboard.overlap import sample_runs
from engine.made import made, with_value
from evaluate.sample import TEXT
from tiny import Llama, tiny_llama, tokenizer_metadata
from tiny_encoders import TinyBert, bert_folder
from tiny_mixed import SHARES, mixed

GOLDEN = json.loads((Path(__file__).parent.parent / "golden" / "evaluate.json").read_text())


@pytest.mark.parametrize("share", SHARES)
def test_losses_and_divergences_are_those_of_torch(
    share: float, reference: Path, tmp_path: Path
) -> None:
    want = {name: np.array(values) for name, values in GOLDEN["cases"][str(share)].items()}
    models = [
        aboard.load(path, threads=2, activations="float32")
        for path in (mixed(tmp_path / "mixed.gguf", share), reference)
    ]

    with Scorer(models[:1], models[1]) as scorer:
        (found,) = scorer.window(Window(tuple(GOLDEN["tokens"]), 47))

    np.testing.assert_allclose(found.losses, want["losses"], atol=1e-4)
    np.testing.assert_allclose(found.reference_losses, want["reference_losses"], atol=1e-4)
    np.testing.assert_allclose(found.divergence, want["divergence"], rtol=1e-3, atol=1e-6)
    figures = sum_up([found], name="text", sha256="", builtin=False, window=48)
    ratio = math.exp(want["losses"].mean() - want["reference_losses"].mean())
    assert figures.perplexity == pytest.approx(math.exp(want["losses"].mean()), rel=1e-4)
    assert figures.comparison is not None
    assert figures.comparison.ppl_ratio == pytest.approx(ratio, rel=1e-4)
    assert figures.comparison.kl_mean == pytest.approx(want["divergence"].mean(), rel=1e-3)
    change = np.exp(-want["losses"]) - np.exp(-want["reference_losses"])
    assert figures.comparison.worst_drop == pytest.approx(change.min(), abs=1e-5)


def test_models_together_have_the_figures_of_each_alone(
    reference: Path, text: Path, tmp_path: Path
) -> None:
    models = [mixed(tmp_path / f"{share}.gguf", share) for share in SHARES]
    calls: list[int] = []

    found = evaluate_together(
        models, against=reference, text=[text], window=64, progress=lambda *at: calls.append(at[1])
    )

    assert found == [evaluate(each, against=reference, text=[text], window=64) for each in models]
    assert len(calls) == found[0].text.n_sequences + 1


def test_figures_are_those_of_plain_numpy(near: Path, reference: Path, text: Path) -> None:
    p, q = (
        np.concatenate([log_softmax(aboard.load(path).logits(w)[:-1]) for w in byte_windows()])
        for path in (reference, near)
    )
    following = [token for window in byte_windows() for token in window[1:]]
    rows = np.arange(len(following))

    found = evaluate(near, against=reference, text=[text], window=64, threads=2)

    scores = found.text
    assert scores is not None
    assert scores.comparison is not None
    loss = -q[rows, following]
    assert scores.n_tokens == scores.n_bytes == len(following)
    assert scores.perplexity == pytest.approx(math.exp(loss.mean()), rel=1e-12)
    assert scores.bits_per_byte == pytest.approx(loss.mean() / math.log(2), rel=1e-12)
    kl = (np.exp(p) * (p - q)).sum(axis=1)
    assert scores.comparison.kl_mean == pytest.approx(kl.mean(), rel=1e-10)
    assert scores.comparison.kl_max == pytest.approx(kl.max(), rel=1e-10)
    tops, were = q.argmax(axis=1), p.argmax(axis=1)
    assert scores.comparison.same_top_fraction == pytest.approx((tops == were).mean())
    assert scores.comparison.flips_lost == ((were == following) & (tops != following)).sum()
    assert scores.comparison.flips_gained == ((were != following) & (tops == following)).sum()
    low, high = scores.comparison.kl_ci95 or (0.0, 0.0)
    assert low < kl.mean() < high
    assert sum(each.n_tokens for each in scores.sequences) == scores.n_tokens
    assert scores.comparison.verdict == "measurable difference"


def byte_windows() -> list[list[int]]:
    ids = list(TEXT.encode())
    return [ids[i : i + 64] for i in range(0, len(ids), 64)]


def log_softmax(logits: np.ndarray) -> np.ndarray:
    wide = logits.astype(np.float64)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))


def test_alone_it_is_the_perplexity_of_windows(near: Path, text: Path) -> None:
    model = aboard.load(near)
    want = perplexity(model.logits, list(TEXT.encode()), window=64)

    found = evaluate(near, text=[text], window=64)

    assert found.text is not None
    assert found.text.perplexity == pytest.approx(want.perplexity, rel=1e-12)
    assert found.text.comparison is None
    assert found.as_dict()["kl_mean"] is None


def test_identical_files_differ_by_exactly_nothing(reference: Path, text: Path) -> None:
    found = evaluate(reference, against=reference, text=[text], window=64).as_dict()

    assert found["kl_mean"] == 0.0
    assert found["kl_ci95"] == (0.0, 0.0)
    assert found["same_top_fraction"] == 1.0
    assert found["ppl_ratio"] == 1.0
    assert found["verdict"] == "identical"


def test_what_hardly_differs_is_not_called_a_difference(reference: Path, tmp_path: Path) -> None:
    letters = np.random.default_rng(1).integers(97, 123, 6000)
    (tmp_path / "long.txt").write_bytes(bytes(letters.tolist()))
    path = mixed(tmp_path / "close.gguf", 0.0003)

    found = evaluate(path, against=reference, text=[tmp_path / "long.txt"], window=64)

    comparison = found.text and found.text.comparison
    assert comparison is not None
    assert 0 < comparison.kl_mean < 0.01
    assert comparison.verdict == "no measurable difference"


def test_an_int8_cache_can_be_compared_with_one_of_float16(reference: Path, text: Path) -> None:
    found = evaluate(reference, against=reference, text=[text], window=64, kv="int8")

    assert found.reference is not None
    assert (found.model.kv, found.reference.kv) == ("int8", "f16")
    assert 0 < found.as_dict()["kl_mean"] < 0.01
    assert found.command.endswith("--kv int8")


def test_a_reference_of_float32_activations_shows_what_int8_costs(
    reference: Path, text: Path
) -> None:
    found = evaluate(
        reference, against=reference, text=[text], window=64, reference_activations="float32"
    )

    assert 0 < found.as_dict()["kl_mean"] < 0.01


@pytest.mark.parametrize("threads", [1, 3])
def test_figures_do_not_depend_on_threads(
    threads: int, near: Path, reference: Path, text: Path
) -> None:
    want = evaluate(near, against=reference, text=[text], window=64, threads=2)

    found = evaluate(near, against=reference, text=[text], window=64, threads=threads)

    assert found == want


def test_without_a_text_it_takes_its_own_and_says_so(near: Path) -> None:
    found = evaluate(near)

    assert found.text is not None
    assert found.text.builtin
    assert found.text.n_sequences >= 32
    assert "too little to judge" in found.notes[0]


def test_few_sequences_are_told(near: Path, text: Path) -> None:
    few = evaluate(near, text=[text], window=64, sequences=5)

    assert few.text is not None
    assert (few.text.n_sequences, few.text.perplexity_ci95) == (5, None)
    assert "5 sequences, expected 32" in few.notes[0]
    assert "--sequences 5" in few.command


def test_bos_stands_before_every_window(tmp_path: Path, text: Path) -> None:
    path = mixed(tmp_path / "bos.gguf", 0.0, tokenizer__ggml__add_bos_token=True)
    ids = list(TEXT.encode())
    windows = [[256, *ids[i : i + 63]] for i in range(0, len(ids), 63)]
    model = aboard.load(path)
    losses = [perplexity(model.logits, each) for each in windows]

    found = evaluate(path, text=[text], window=64).text

    assert found is not None
    assert found.n_tokens == len(ids)
    nats = sum(each.nats * each.n_scored for each in losses) / len(ids)
    assert found.perplexity == pytest.approx(math.exp(nats), rel=1e-12)


def test_nan_is_an_error(reference: Path, text: Path, tmp_path: Path) -> None:
    path = made(
        tmp_path / "nan.gguf",
        Llama(),
        change=with_value("token_embd.weight", (ord("a"), 0), 3e38),
    )

    for pair in ((path, reference), (reference, path)):
        with pytest.raises(NumericalError, match=r"nan\.gguf: the model computes NaN"):
            evaluate(pair[0], against=pair[1], text=[text], window=64)


def swapped(tmp_path: Path) -> Path:
    tokens = list(tokenizer_metadata()["tokenizer.ggml.tokens"])
    tokens[97], tokens[98] = tokens[98], tokens[97]
    return mixed(tmp_path / "swapped.gguf", 0.0, tokenizer__ggml__tokens=tokens)


DIFFERENT = {
    "tokens": (swapped, r"tokens\[97\] is 'b' and 'a'"),
    "size": (
        lambda folder: tiny_llama(folder / "other.gguf", vocabulary=280),
        "a vocabulary of 280 tokens and one of 259",
    ),
    "words": (
        lambda folder: mixed(folder / "other.gguf", 0.0, tokenizer__ggml__pre="llama-bpe"),
        "pre is 'llama-bpe' and 'gpt-2'",
    ),
    "bos": (
        lambda folder: mixed(folder / "other.gguf", 0.0, tokenizer__ggml__add_bos_token=True),
        "a text begins with token 256 and with no BOS",
    ),
}


@pytest.mark.parametrize(("make", "message"), DIFFERENT.values(), ids=DIFFERENT)
def test_other_tokenizers_are_refused_by_name(
    make, message: str, reference: Path, text: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(make(tmp_path), against=reference, text=[text], window=64)


def test_what_decides_no_id_is_no_difference(reference: Path, text: Path, tmp_path: Path) -> None:
    path = mixed(tmp_path / "other.gguf", 0.0, tokenizer__ggml__padding_token_id=257)

    assert evaluate(path, against=reference, text=[text], window=64).as_dict()["kl_mean"] == 0


def calibrated_on(text: str) -> dict[str, object]:
    entries = sample_runs([text]).metadata()
    return {key.replace(".", "__"): value for key, value in entries.items()}


@pytest.mark.parametrize("which", ["model", "reference"])
def test_the_calibration_text_is_refused(
    which: str, reference: Path, text: Path, tmp_path: Path
) -> None:
    path = mixed(tmp_path / "calibrated.gguf", 0.1, **calibrated_on(TEXT))
    pair = (path, reference) if which == "model" else (reference, path)

    with pytest.raises(UsageError, match=r"text.txt: about \d+% of it was used to calibrate .*cal"):
        evaluate(pair[0], against=pair[1], text=[text], window=64)


def test_another_text_than_that_of_the_calibration_is_taken(text: Path, tmp_path: Path) -> None:
    path = mixed(tmp_path / "fine.gguf", 0.1, **calibrated_on(TEXT.replace("a", "x")))

    found = evaluate(path, text=[text], window=64)

    assert found.text is not None


@pytest.mark.parametrize("content", ["", "a"])
def test_a_text_of_no_use_is_refused(content: str, near: Path, tmp_path: Path) -> None:
    (tmp_path / "short.txt").write_text(content)

    with pytest.raises(UsageError, match=r"short.txt: has fewer than two tokens"):
        evaluate(near, text=[tmp_path / "short.txt"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 1}, "window of 1 tokens"),
        ({"window": 1025}, "window of 1025 tokens, expected 2 to 1024"),
        ({"sequences": 0}, "sequences is 0"),
        ({"text": ["missing.txt"]}, "missing.txt: can't be read"),
        ({"tasks": ["mine=missing.jsonl"]}, "missing.jsonl: can't be read"),
        ({"against": "missing.gguf"}, "missing.gguf"),
    ],
)
def test_options_of_no_use_are_refused(
    options: dict[str, object], message: str, near: Path, text: Path
) -> None:
    with pytest.raises(AboardError, match=message):
        evaluate(near, **{"text": [text], **options})


def test_a_context_of_one_token_is_refused(tmp_path: Path, text: Path) -> None:
    model = tiny_llama(tmp_path / "tiny.gguf", context=1)

    with pytest.raises(UsageError, match="which is what the context holds"):
        evaluate(model, text=[text])


def test_a_context_shorter_than_the_window_makes_it_shorter(tmp_path: Path, text: Path) -> None:
    found = evaluate(tiny_llama(tmp_path / "tiny.gguf", context=100), text=[text])

    assert found.text is not None
    assert found.text.window == 100


def test_an_encoder_predicts_nothing(tmp_path: Path, text: Path) -> None:
    import_checkpoint(bert_folder(tmp_path / "bert", TinyBert(), seed=1), tmp_path / "bert.gguf")

    with pytest.raises(UsageError, match="is an encoder"):
        evaluate(tmp_path / "bert.gguf", text=[text])


def test_the_top_of_the_json_stays_as_it_is(near: Path, reference: Path, text: Path) -> None:
    found = evaluate(near, against=reference, text=[text], window=64)

    top = found.as_dict()
    assert isinstance(found, Evaluation)
    assert top["schema"] == 1
    assert {*top} >= {
        *("perplexity", "bits_per_byte", "kl_mean", "kl_ci95", "same_top_fraction", "ppl_ratio"),
        *("n_tokens", "verdict", "model", "reference", "text", "tasks", "command", "notes"),
    }
    assert (
        json.loads(json.dumps(top))["model"]["weights_sha256"] == aboard.load(near).weights_sha256
    )
