"""Whole files quantised: better than nearest codes, the same in two runs, going on after a kill."""

from collections.abc import Mapping
from pathlib import Path

import gguf
import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.artifact.quantized import quantize_file
from aboard.checkpoint.gguf import open_gguf
from aboard.engine.layer_engine import LayerEngine
from aboard.errors import CorruptTensor, NumericalError, UnsupportedFile, UsageError
from aboard.models import DecoderModel
from aboard.overlap import sample_of_metadata
from aboard.quantize.calibration import Calibration, calibration_of
from aboard.quantize.rounding import METHODS, Method
from engine.made import made, with_value
from tiny import Llama, tiny_llama
from tiny_encoders import TinyBert, bert_folder
from tiny_families import Tiny, tiny_model

MATRICES = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
SHAPE = Llama(layers=2, width=64, heads=4, kv_heads=2, ffn=96)
NEAREST = Method(rounding="nearest", by_importance=False)


def assignment(layers: int = 2, form: str = "Q4_0", **others: str) -> dict[str, str]:
    body = {f"blk.{i}.{name}.weight": form for i in range(layers) for name in MATRICES}
    return body | {f"{name}.weight": other for name, other in others.items()}


def text(n: int, seed: int) -> np.ndarray:
    """Bytes that follow each other in a few ways, as those of a text do."""
    random = np.random.default_rng(seed)
    steps = random.choice([1, 3, 7, 11], n)
    return (np.cumsum(steps) % 97 + random.integers(0, 3, n)).astype(np.int32)


def calibration(n: int = 2048, window: int = 64) -> Calibration:
    return calibration_of({"made up": text(n, 1)}, window=window)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("source") / "tiny.gguf", SHAPE, seed=4)


def quantized(source: Path, out: Path, named: Mapping[str, str] | None = None, **options: object):
    given: dict[str, object] = {"calibration": calibration(), "open_layer": LayerEngine}
    return quantize_file(source, out, named or assignment(), **(given | options))  # type: ignore[arg-type]


def error_of(path: Path, source: Path) -> float:
    """The mean square of what logits are off, on another text."""
    tokens = text(300, 2).tolist()
    want = aboard.load(source, activations="float32").logits(tokens)
    got = aboard.load(path, activations="float32").logits(tokens)
    return float(((got - want).astype(np.float64) ** 2).mean())


def test_gptq_is_closer_to_the_source_than_nearest_codes(source: Path, tmp_path: Path) -> None:
    nearest = quantized(source, tmp_path / "nearest.gguf", method=NEAREST)

    made = quantized(source, tmp_path / "gptq.gguf")

    # Of what was calibrated on, which only GPTQ needs, there are hashes in the file.
    with open_gguf(tmp_path / "gptq.gguf") as file:
        sample = sample_of_metadata(file.metadata)
    assert sample is not None
    assert sample.hashes.size > 100
    assert made.size_bytes == pytest.approx(nearest.size_bytes + sample.hashes.nbytes, abs=1024)
    assert error_of(tmp_path / "gptq.gguf", source) < 0.75 * error_of(
        tmp_path / "nearest.gguf", source
    )
    assert {rounding.name for rounding in made.roundings} == set(assignment())
    for rounding in made.roundings:
        assert rounding.error is not None
        assert rounding.nearest_error is not None
        assert 0 < rounding.error <= rounding.nearest_error


def test_importance_alone_is_closer_to_the_source_than_nearest_codes(
    source: Path, tmp_path: Path
) -> None:
    named = assignment(**{"token_embd": "Q4_0"})
    quantized(source, tmp_path / "nearest.gguf", named, method=NEAREST)

    made = quantized(source, tmp_path / "out.gguf", named, method=METHODS["importance"])

    assert error_of(tmp_path / "out.gguf", source) < error_of(tmp_path / "nearest.gguf", source)
    assert all(each.damping is None for each in made.roundings)
    assert all(each.error == each.nearest_error for each in made.roundings)


def test_the_file_tells_how_it_was_made_and_keeps_what_was_not_named(
    source: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out.gguf"

    quantized(source, out, {"blk.1.ffn_down.weight": "Q4_0"})

    before = {tensor.name: tensor for tensor in gguf.GGUFReader(source).tensors}
    reader = gguf.GGUFReader(out)
    for tensor in reader.tensors:
        if tensor.name == "blk.1.ffn_down.weight":
            assert tensor.tensor_type.name == "Q4_0"
        else:
            assert tensor.data.tobytes() == before[tensor.name].data.tobytes()
    fields = {key: field.contents() for key, field in reader.fields.items()}
    assert fields["general.quantized_by"] == "Aboard"
    assert fields["aboard.quantize.rounding"] == "gptq"
    assert fields["aboard.quantize.calibration_sha256"] == calibration().sha256
    assert fields["aboard.quantize.calibration_tokens"] == 2048
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("tied", [True, False])
def test_embedding_and_head_are_rounded_for_what_they_do(tied: bool, tmp_path: Path) -> None:
    source = tiny_llama(tmp_path / "tiny.gguf", SHAPE, seed=6, tied=tied)
    named = {"token_embd.weight": "Q4_0"} | ({} if tied else {"output.weight": "Q4_0"})
    quantized(source, tmp_path / "nearest.gguf", named, method=NEAREST)

    made = quantized(source, tmp_path / "gptq.gguf", named)

    head = next(each for each in made.roundings if each.damping is not None)
    assert head.name == ("token_embd.weight" if tied else "output.weight")
    assert error_of(tmp_path / "gptq.gguf", source) < error_of(tmp_path / "nearest.gguf", source)


@pytest.mark.parametrize(
    "shape",
    [
        Tiny("phi3"),
        Tiny("gemma2", tied=True, own={"attention.sliding_window": 24}),
        Tiny(
            "lfm2",
            own={
                "shortconv.l_cache": 3,
                "attention.head_count_kv": np.array([0, 2], np.int32),
            },
        ),
    ],
    ids=lambda shape: shape.family,
)
def test_every_matrix_of_other_architectures_can_be_rounded(shape: Tiny, tmp_path: Path) -> None:
    source = tiny_model(tmp_path / "tiny.gguf", shape, seed=7)
    matrices = [
        tensor.name
        for tensor in gguf.GGUFReader(source).tensors
        if len(tensor.shape) == 2 and "shortconv.conv" not in tensor.name
    ]
    named = dict.fromkeys(matrices, "Q4_0")
    quantized(source, tmp_path / "nearest.gguf", named, method=NEAREST)

    made = quantized(source, tmp_path / "gptq.gguf", named)

    assert {rounding.name for rounding in made.roundings} == set(matrices)
    assert error_of(tmp_path / "gptq.gguf", source) < error_of(tmp_path / "nearest.gguf", source)


def test_two_runs_and_other_threads_make_the_same_bytes(source: Path, tmp_path: Path) -> None:
    quantized(source, tmp_path / "one.gguf", threads=1)
    quantized(source, tmp_path / "two.gguf", threads=2)

    assert (tmp_path / "one.gguf").read_bytes() == (tmp_path / "two.gguf").read_bytes()


class KilledError(Exception):
    pass


class Fragile:
    """Opens layers, and dies after so many tensors of all."""

    def __init__(self, after: int) -> None:
        self.left = after
        self.rounded = 0

    def __call__(self, model: DecoderModel, index: int) -> LayerEngine:
        fragile = self

        class Layer(LayerEngine):
            def inputs(self, half, inner, hidden):  # type: ignore[no-untyped-def]
                fragile.left -= 1
                if fragile.left < 0:
                    raise KilledError
                fragile.rounded += 1
                return super().inputs(half, inner, hidden)

        return Layer(model, index)


@pytest.mark.parametrize("after", [0, 5, 12])
def test_a_run_goes_on_where_one_was_killed(after: int, source: Path, tmp_path: Path) -> None:
    whole = Fragile(1000)
    quantized(source, tmp_path / "whole.gguf", open_layer=whole)
    out = tmp_path / "out.gguf"
    with pytest.raises(KilledError):
        quantized(source, out, open_layer=Fragile(after))
    assert not out.exists()
    again = Fragile(1000)

    made = quantized(source, out, open_layer=again)

    assert out.read_bytes() == (tmp_path / "whole.gguf").read_bytes()
    assert len(made.roundings) == len(assignment())
    assert again.rounded == whole.rounded - after // 2 * 2  # two pieces of a stage's inputs
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.gguf", "whole.gguf"]


def test_what_another_run_kept_is_not_taken(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.gguf"
    with pytest.raises(KilledError):
        quantized(source, out, assignment(form="Q8_0"), open_layer=Fragile(9))
    quantized(source, tmp_path / "whole.gguf")

    quantized(source, out)

    assert out.read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_a_damaged_tensor_among_the_kept_ones_is_made_again(source: Path, tmp_path: Path) -> None:
    quantized(source, tmp_path / "whole.gguf")
    out = tmp_path / "out.gguf"
    with pytest.raises(KilledError):
        quantized(source, out, open_layer=Fragile(9))
    for path in (tmp_path / ".out.gguf.quantize").glob("*.bin"):
        path.write_bytes(path.read_bytes()[:-1] + b"\x55")

    quantized(source, out)

    assert out.read_bytes() == (tmp_path / "whole.gguf").read_bytes()


def test_progress_goes_up_to_all_weights(source: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []

    quantized(source, tmp_path / "out.gguf", progress=lambda *at: told.append(at))

    assert {stage for stage, _, _ in told} == {"quantize"}
    done = [n for _, n, _ in told]
    assert done == sorted(done)
    assert done[-1] == told[-1][2] == 2 * (2 * 64 * 64 + 2 * 32 * 64 + 3 * 96 * 64)


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ({"blk.0.attn_norm.weight": "Q4_0"}, "is no matrix"),
        ({"blk.9.attn_q.weight": "Q4_0"}, "is no matrix"),
        ({"blk.0.attn_q.weight": "Q9_9"}, "the type is 'Q9_9'"),
        ({"blk.0.attn_q.weight": "Q4_K"}, "rows of 64 weights, which Q4_K, with blocks of 256"),
    ],
)
def test_assignments_that_can_not_be_are_refused(
    named: dict[str, str], message: str, source: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        quantized(source, tmp_path / "out.gguf", named)

    assert list(tmp_path.iterdir()) == []


def test_an_encoder_is_refused(tmp_path: Path) -> None:
    source = tmp_path / "bert.gguf"
    import_checkpoint(bert_folder(tmp_path / "bert", TinyBert()), source)

    with pytest.raises(UnsupportedFile, match="is an encoder"):
        quantized(source, tmp_path / "out.gguf", {"blk.0.attn_q.weight": "Q8_0"})


def test_a_weight_that_is_no_number_is_named(tmp_path: Path) -> None:
    change = with_value("blk.0.ffn_up.weight", (5, 3), np.nan)
    source = made(tmp_path / "tiny.gguf", change=change)

    with pytest.raises(CorruptTensor, match=r"blk\.0\.ffn_up\.weight.*\[5, 3\] is nan"):
        quantized(source, tmp_path / "out.gguf", {"blk.0.ffn_up.weight": "Q4_0"}, method=NEAREST)


def test_activations_beyond_float32_are_told(tmp_path: Path) -> None:
    change = with_value("blk.0.attn_norm.weight", (3,), 1e30)
    source = made(tmp_path / "tiny.gguf", change=change)

    with pytest.raises(NumericalError, match=r"blk\.0\.attn_q\.weight: inputs"):
        quantized(source, tmp_path / "out.gguf", {"blk.0.attn_q.weight": "Q4_0"})
