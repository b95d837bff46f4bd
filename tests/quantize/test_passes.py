"""Models computed layer by layer: the logits and the divergences of whole models."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

import aboard
from aboard.artifact.importing import import_checkpoint
from aboard.engine.head_engine import HeadEngine
from aboard.engine.layer_engine import LayerEngine
from aboard.errors import CorruptTensor, NumericalError
from aboard.fitting.checkpoint import open_checkpoint
from aboard.quantize.passes import compare, embed, end_of, filled, rows_of_source
from aboard.quantize.rounding import whole
from quantize.divergences import divergence
from tiny import Llama, tiny_llama
from tiny_families import Tiny, tiny_model

WINDOWS = np.random.default_rng(0).integers(0, 256, (3, 40)).astype(np.int32)


def made(path: Path, family: str) -> Path:
    if family == "gemma2":  # embeddings scaled, scores and logits capped
        own = {"attention.sliding_window": 24}
        return tiny_model(path, Tiny("gemma2", tied=True, own=own), seed=7)
    if family == "granite":  # logits scaled
        scales = {"logit_scale": 6.0, "attention.scale": 0.2, "embedding_scale": 3.0}
        own = scales | {"residual_scale": 0.4}
        return tiny_model(path, Tiny("granite", own=own), seed=8)
    return tiny_llama(path, Llama(layers=2, tied=family == "tied"), seed=4)


@pytest.mark.parametrize("family", ["llama", "tied", "gemma2", "granite"])
def test_logits_layer_by_layer_are_those_of_the_whole_model(family: str, tmp_path: Path) -> None:
    path = made(tmp_path / "tiny.gguf", family)
    with ExitStack() as opened:
        source = open_checkpoint(path, opened)
        model, weights = source.model, source.weights
        hidden = embed(model, WINDOWS, rows_of_source(weights, model.embedding.name))
        for index in range(len(model.layers)):
            layer = filled(LayerEngine(model, index), weights)
            layer.run("mix", hidden)
            layer.run("feed", hidden)
        head = HeadEngine(model)
        head.put(*weights.pieces(model.head.name))

        got = head.logits(end_of(layer, hidden, np.arange(WINDOWS.size)))

    whole = aboard.load(path)
    want = np.concatenate([whole.logits(window) for window in WINDOWS.tolist()])
    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("family", ["llama", "tied", "gemma2"])
def test_divergences_are_those_of_whole_models(family: str, tmp_path: Path) -> None:
    path = made(tmp_path / "tiny.gguf", family)
    other = tmp_path / "other.gguf"
    import_checkpoint(path, other, type="q4_0")
    told = []
    with ExitStack() as opened:
        first, second = (open_checkpoint(each, opened) for each in (path, other))

        got = compare(
            first.model,
            first.weights,
            second.weights,
            WINDOWS,
            open_layer=lambda model, index: LayerEngine(model, index, 1),
            open_head=lambda model: HeadEngine(model, 1),
            progress=lambda *at: told.append(at),
        )

    np.testing.assert_allclose(got, divergence(path, other, WINDOWS), rtol=1e-5, atol=1e-11)
    assert got.mean() > 1e-8
    assert told[-1] == ("compare", 2, 2)


def test_a_head_that_holds_nan_is_named(tmp_path: Path) -> None:
    path = made(tmp_path / "tiny.gguf", "llama")
    with ExitStack() as opened:
        source = open_checkpoint(path, opened)
        head = HeadEngine(source.model)
        form, packed = whole(source.weights, "output.weight")
        packed.view(np.float32)[64 * 5 + 3] = np.nan

        with pytest.raises(CorruptTensor, match=r"'output\.weight': row 5 holds NaN"):
            head.put(form, [packed])


def test_logits_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    path = made(tmp_path / "tiny.gguf", "llama")
    with ExitStack() as opened:
        source = open_checkpoint(path, opened)
        head = HeadEngine(source.model)
        head.put(*source.weights.pieces("output.weight"))
        inputs = np.ones((4, 64), np.float32)
        head.remember(inputs)
        inputs[2] = np.inf

        with pytest.raises(NumericalError, match="NaN or infinity instead of logits"):
            head.divergence(inputs)
