"""Sliding windows in the engine: what is beyond a window is not seen, however the work is cut."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aboard.checkpoint.gguf import open_gguf
from aboard.engine import Model
from aboard.engine.prefix import PrefixCache
from aboard.engine.weights import load_weights
from aboard.models import describe_model
from tiny import tiny_llama

N_TOKENS = 200
TOKENS = (np.arange(N_TOKENS) * 97 + 13) % 259
WINDOWS = [1, 2, 40, 64, 65, 100, 150]


def windowed(path: Path, window: int, kv: str = "f16") -> Model:
    """The model in `path`, whose layers all see `window` tokens."""
    with open_gguf(path) as file:
        config = describe_model(file.metadata, frozenset(file.tensors))
        layers = tuple(
            replace(layer, attention=replace(layer.attention, window=window))
            for layer in config.layers
        )
        config = replace(config, layers=layers)
        weights = load_weights(file, config, 1)
    return Model(path, config, weights, None, None, N_TOKENS, 1, PrefixCache(0), kv)


@pytest.fixture(scope="module")
def one_layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_llama(tmp_path_factory.mktemp("models") / "one.gguf", layers=1)


@pytest.fixture(scope="module")
def two_layers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    shape = {"heads": 6, "kv_heads": 1, "head_dim": 40, "layers": 2}
    return tiny_llama(tmp_path_factory.mktemp("models") / "two.gguf", **shape)


@pytest.mark.parametrize("window", WINDOWS)
def test_in_one_layer_a_token_is_that_of_a_text_that_begins_with_its_window(
    one_layer: Path, window: int
) -> None:
    full = windowed(one_layer, 0)
    want = np.stack(
        [full.logits(TOKENS[max(t + 1 - window, 0) : t + 1])[-1] for t in range(0, N_TOKENS, 13)]
    )

    got = windowed(one_layer, window).logits(TOKENS)[::13]

    # Positions are turned by angles, of which only differences count: rounding differs, no more.
    assert got == pytest.approx(want, abs=0.03 * float(np.abs(want).max()))


def test_the_window_shows_in_the_logits(one_layer: Path) -> None:
    full = windowed(one_layer, 0).logits(TOKENS)

    got = windowed(one_layer, 40).logits(TOKENS)

    assert got[:40].tobytes() == full[:40].tobytes()
    assert np.abs(got[100:] - full[100:]).max() > 0.1 * np.abs(full).max()


@pytest.mark.parametrize("kv", ["f16", "int8"])
@pytest.mark.parametrize("window", [0, N_TOKENS, 10**6])
def test_a_window_of_the_whole_text_changes_nothing(two_layers: Path, window: int, kv: str) -> None:
    want = windowed(two_layers, 0, kv).logits(TOKENS)

    got = windowed(two_layers, window, kv).logits(TOKENS)

    assert got.tobytes() == want.tobytes()


@pytest.mark.parametrize("kv", ["f16", "int8"])
@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("window", WINDOWS)
def test_no_cut_of_the_work_changes_a_bit(
    two_layers: Path, window: int, threads: int, kv: str
) -> None:
    model = windowed(two_layers, window, kv)
    with model.session() as session:
        want = np.stack([session.decode(token) for token in TOKENS.tolist()])

    model.threads = threads
    whole = model.logits(TOKENS)
    with model.session() as session:
        session.prefill(TOKENS[:150], chunk=7)
        rest = np.stack([session.decode(token) for token in TOKENS[150:].tolist()])

    assert whole.tobytes() == want.tobytes()
    assert rest.tobytes() == want[150:].tobytes()
