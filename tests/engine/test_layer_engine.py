"""Layers one by one give what the whole model gives, and hand out what transformers' hooks find."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard import _native
from aboard.artifact.quantized import GgufWeights
from aboard.checkpoint.gguf import GgufFile, open_gguf
from aboard.engine.layer_engine import LayerEngine
from aboard.errors import UsageError
from aboard.models import DecoderModel, describe_model
from aboard.quantize.rounding import whole
from tap_cases import CASES, TOKENS
from tiny import Llama, tiny_llama
from tiny_families import Tiny, tiny_model

GOLDEN = Path(__file__).parents[1] / "golden" / "taps"
TOLERANCE = 3e-5  # of the largest input: float32 sums in another order
DELTA_NETS = Tiny(
    "qwen35",
    layers=3,
    own={
        "rope.dimension_count": 8,
        "full_attention_interval": 2,
        "ssm.conv_kernel": 4,
        "ssm.state_size": 16,
        "ssm.group_count": 2,
        "ssm.time_step_rank": 4,
        "ssm.inner_size": 64,
    },
)
MODELS = {name: shape for name, (_, shape) in CASES.items()} | {"qwen35": DELTA_NETS}


def made(path: Path, shape: Llama | Tiny, seed: int, fmt: str = "F32") -> Path:
    make = tiny_llama if isinstance(shape, Llama) else tiny_model
    return make(path, shape, fmt=fmt, seed=seed)  # type: ignore[arg-type]


def embedded(file: GgufFile, model: DecoderModel, tokens: list[list[int]]) -> np.ndarray:
    rows = GgufWeights(file).rows("token_embd.weight", 0, 259) * np.float32(model.embedding_scale)
    return rows[np.array(tokens)]


def layers(
    file: GgufFile, model: DecoderModel, threads: int | None = None, activations: str = "int8"
) -> Iterator[LayerEngine]:
    weights = GgufWeights(file)
    for index in range(len(model.layers)):
        layer = LayerEngine(model, index, threads, activations)
        for name in layer.tensors:
            layer.put(name, *whole(weights, name))
        yield layer


def opened(path: Path) -> tuple[GgufFile, DecoderModel]:
    file = open_gguf(path)
    model = describe_model(file.metadata, frozenset(file.tensors))
    assert isinstance(model, DecoderModel)
    return file, model


@pytest.mark.parametrize("fmt", ["F32", "Q8_0"])
@pytest.mark.parametrize("name", MODELS)
def test_halves_one_after_another_give_the_logits_of_the_model(
    name: str, fmt: str, tmp_path: Path
) -> None:
    path = made(tmp_path / "tiny.gguf", MODELS[name], 5, fmt)
    text = [(7 * i + 1) % 256 for i in range(70)]
    want = aboard.load(path).logits(text)
    file, model = opened(path)

    with file:
        hidden = embedded(file, model, [text[::-1], text])
        for layer in layers(file, model):
            layer.run("mix", hidden)
            layer.run("feed", hidden)
        (inputs,) = layer.inputs("end", False, hidden)
        head = whole(GgufWeights(file), model.head.name)

    got = _native.multiply(packed(*head, model.head.shape), inputs[70:])
    got = got * np.float32(model.logit_scale)
    if model.logit_cap:
        got = np.stack([_native.soft_cap(row, model.logit_cap) for row in got])
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("name", CASES)
def test_inputs_are_those_that_hooks_in_transformers_find(name: str, tmp_path: Path) -> None:
    seed, shape = CASES[name]
    golden = np.load(GOLDEN / f"{name}.npz")
    file, model = opened(made(tmp_path / "tiny.gguf", shape, seed))
    found = {}

    with file:
        hidden = embedded(file, model, [TOKENS])
        for index, layer in enumerate(layers(file, model, activations="float32")):
            for half in ("mix", "feed"):
                found[f"{index} {half}"] = np.concatenate(list(layer.inputs(half, False, hidden)))
                inner = np.concatenate(list(layer.inputs(half, True, hidden)))
                found[f"{index} {half} inner"] = inner
                layer.run(half, hidden)
        found["end"] = np.concatenate(list(layer.inputs("end", False, hidden)))

    assert set(found) == set(golden)
    worst = {key: np.abs(found[key] - x).max() / np.abs(x).max() for key, x in golden.items()}
    assert max(worst.values()) < TOLERANCE, worst


def test_inputs_do_not_depend_on_threads_or_on_neighbours(tmp_path: Path) -> None:
    file, model = opened(made(tmp_path / "tiny.gguf", Llama(layers=1), 3))
    texts = [[(i * k) % 259 for i in range(40)] for k in (3, 5, 7)]

    with file:
        hidden = embedded(file, model, texts)
        (one,) = layers(file, model, threads=1)
        (three,) = layers(file, model, threads=3)
        together = [np.concatenate(list(one.inputs(*at, hidden))) for at in stages()]
        alone = [
            np.concatenate([np.concatenate(list(three.inputs(*at, text[None]))) for text in hidden])
            for at in stages()
        ]

    for a, b in zip(together, alone, strict=True):
        assert a.tobytes() == b.tobytes()


def test_inputs_change_with_the_matrices_before_them_alone(tmp_path: Path) -> None:
    file, model = opened(made(tmp_path / "tiny.gguf", Llama(layers=1), 3))

    with file:
        hidden = embedded(file, model, [TOKENS])
        (layer,) = layers(file, model)
        before = [np.concatenate(list(layer.inputs(*at, hidden))) for at in stages()]
        name = model.layers[0].feed_forward.up.weight.name
        form, octets = whole(GgufWeights(file), name)
        layer.put(name, form, (octets.view(np.float32) * 2).view(np.uint8))
        behind = [np.concatenate(list(layer.inputs(*at, hidden))) for at in stages()]

    same = [a.tobytes() == b.tobytes() for a, b in zip(before, behind, strict=True)]
    assert same == [True, True, True, False]
    np.testing.assert_allclose(behind[3], 2 * before[3], rtol=1e-5, atol=1e-5)


def test_hidden_states_of_another_width_are_refused(tmp_path: Path) -> None:
    file, model = opened(made(tmp_path / "tiny.gguf", Llama(layers=1), 3))
    with file:
        (layer,) = layers(file, model)

        with pytest.raises(ValueError, match="hidden states must be"):
            layer.run("mix", np.zeros((1, 4, 32), np.float32))


def test_unknown_activations_are_refused(tmp_path: Path) -> None:
    file, model = opened(made(tmp_path / "tiny.gguf", Llama(layers=1), 3))

    with file, pytest.raises(UsageError, match="activations"):
        LayerEngine(model, 0, activations="bf16")


def stages() -> list[tuple[str, bool]]:
    return [("mix", False), ("mix", True), ("feed", False), ("feed", True)]


def packed(form: str, octets: np.ndarray, shape: tuple[int, ...]) -> _native.Matrix:
    matrix = _native.Matrix(_native.Arena(_native.packed_size(form, *shape)), form, *shape)
    assert matrix.pack(octets, 0) is None
    return matrix
