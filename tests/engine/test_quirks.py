"""The headline for models that aren't Llama: what they add changes no bit with the way of working.

Each is run once, plainly: one thread, one token at a time, the best instruction set. All other ways
of doing the same must give the very bytes, with every kind of cache.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aboard.checkpoint.gguf import open_gguf
from aboard.engine import Model
from aboard.engine.device import force_isa, supported_isas
from aboard.engine.prefix import PrefixCache
from aboard.engine.weights import load_weights
from aboard.models import DecoderModel, describe_model
from aboard.models.decoder import Temperature
from tiny_differing import DIFFERING
from tiny_families import Tiny, tiny_model

PROMPT, TOTAL = 150, 160
TOKENS = (np.arange(TOTAL) * 97 + 13) % 259
KINDS = ["f16", "int8", "f32"]

YARN = {
    "rope.scaling.type": "yarn",
    "rope.scaling.factor": 4.0,
    "rope.scaling.original_context_length": 32,
}
# Norms of heads and around blocks, GELU, biases everywhere, two ropes, windows, a soft cap.
GEMMA = Tiny(
    "gemma3",
    layers=3,
    width=96,
    heads=4,
    kv_heads=2,
    head_dim=40,
    ffn=160,
    context=256,
    biases=("qkv", "output", "ffn"),
    own={
        "attention.sliding_window": 70,
        "attention.sliding_window_pattern": np.array([True, False, True]),
        "final_logit_softcapping": 20.0,
        **YARN,
    },
)
# Norms over all heads and only after blocks.
OLMO = Tiny("olmo2", layers=2, width=96, heads=3, kv_heads=3, head_dim=32, ffn=172)
# Parts of tensors, the smallest of half a panel, and a part of each head rotated.
PHI = Tiny(
    "phi3",
    layers=2,
    width=32,
    heads=4,
    kv_heads=1,
    head_dim=8,
    ffn=32,
    context=256,
    own={
        "rope.dimension_count": 4,
        "rope.scaling.original_context_length": 64,
        "rope.scaling.attn_factor": 1.1,
    },
    vectors={"rope_factors_short": (1.0, 1.5), "rope_factors_long": (2.0, 5.0)},
)

# Layers without attention, rows of no whole blocks, four taps.
LFM = Tiny(
    "lfm2",
    layers=4,
    width=72,
    heads=3,
    kv_heads=1,
    head_dim=24,
    ffn=100,
    own={
        "shortconv.l_cache": 4,
        "attention.head_count_kv": np.array([0, 1, 0, 0], np.int32),
    },
)

# Delta nets with heads that share keys, and gated attention.
QWEN = Tiny(
    "qwen35",
    layers=4,
    width=72,
    heads=3,
    kv_heads=1,
    head_dim=24,
    ffn=100,
    own={
        "rope.dimension_count": 6,
        "full_attention_interval": 3,
        "ssm.conv_kernel": 4,
        "ssm.state_size": 20,
        "ssm.group_count": 2,
        "ssm.time_step_rank": 4,
        "ssm.inner_size": 80,
    },
)


def with_all_others(config: DecoderModel) -> DecoderModel:
    """With what no Gemma has: a layer without rope, multipliers, capped scores, a temperature."""
    first, second, third = config.layers
    second = replace(second, attention=replace(second.attention, rope=None))
    return replace(
        config,
        layers=(first, second, third),
        score_cap=3.0,
        residual_scale=0.7,
        logit_scale=0.6,
        temperature=Temperature(strength=0.3, context=40),
    )


MODELS: dict[str, tuple[Tiny, str, Callable[[DecoderModel], DecoderModel]]] = {
    "every quirk": (GEMMA, "Q8_0", with_all_others),
    "norms over all": (OLMO, "F32", lambda config: config),
    "parts of tensors": (PHI, "Q4_0", lambda config: config),
    "convolutions": (LFM, "F32", lambda config: config),
    "layers that differ": (DIFFERING, "F32", lambda config: config),
    "delta nets": (QWEN, "F32", lambda config: config),
}


def load(path: Path, change: Callable[[DecoderModel], DecoderModel], kv: str) -> Model:
    with open_gguf(path) as file:
        config = change(describe_model(file.metadata, frozenset(file.tensors)))
        weights = load_weights(file, config, 1)
    return Model(path, config, weights, None, None, TOTAL, 1, PrefixCache(0), kv)


@pytest.fixture(scope="module", params=[f"{name}, {kv}" for name in MODELS for kv in KINDS])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Model:
    name, kv = request.param.split(", ")
    shape, fmt, change = MODELS[name]
    path = tmp_path_factory.mktemp("models") / "tiny.gguf"
    return load(tiny_model(path, shape, fmt=fmt), change, kv)


@pytest.fixture(scope="module")
def plain(model: Model) -> np.ndarray:
    """Logits of every token, (TOTAL, V), processed one by one."""
    model.threads = 1
    with model.session() as session:
        return np.stack([session.decode(token) for token in TOKENS.tolist()])


def test_logits_are_finite_and_differ_from_token_to_token(plain: np.ndarray) -> None:
    assert np.isfinite(plain).all()
    assert len(np.unique(plain.round(3), axis=0)) > 0.9 * TOTAL


@pytest.mark.parametrize("isa", supported_isas())
def test_every_instruction_set_gives_the_same_bits(
    model: Model, plain: np.ndarray, isa: str
) -> None:
    model.threads = 1

    with force_isa(isa):
        together = model.logits(TOKENS)
        with model.session() as session:
            alone = np.stack([session.decode(token) for token in TOKENS[:70].tolist()])

    assert together.tobytes() == plain.tobytes()
    assert alone.tobytes() == plain[:70].tobytes()


@pytest.mark.parametrize("chunk", [7, 32, 512])
@pytest.mark.parametrize("threads", [1, 2, 3, 5])
def test_every_number_of_threads_and_cut_of_a_prompt_gives_the_same_bits(
    model: Model, plain: np.ndarray, threads: int, chunk: int
) -> None:
    model.threads = threads

    with model.session() as session:
        first = session.prefill(TOKENS[:PROMPT], chunk=chunk)
        rest = np.stack([session.decode(token) for token in TOKENS[PROMPT:].tolist()])

    assert first.tobytes() == plain[PROMPT - 1].tobytes()
    assert rest.tobytes() == plain[PROMPT:].tobytes()


def test_neighbours_of_any_length_change_no_bit(model: Model, plain: np.ndarray) -> None:
    model.threads = 2
    lengths = [1, PROMPT, 63, 64, 65, 5]
    sessions = [model.session() for _ in lengths]
    for session, length in zip(sessions, lengths, strict=True):
        session.prefill(TOKENS[:length])

    rows = model.decode_together(sessions, [int(TOKENS[n]) for n in lengths])

    assert rows.tobytes() == plain[lengths].tobytes()


@pytest.mark.parametrize("at", [63, 64, PROMPT])
def test_a_restored_session_goes_on_with_the_same_bits(
    model: Model, plain: np.ndarray, at: int, tmp_path: Path
) -> None:
    model.threads = 2
    with model.session() as session:
        session.prefill(TOKENS[:at])
        session.save(tmp_path / "saved")

    with model.session() as session:
        session.restore(tmp_path / "saved")
        got = session.logits(TOKENS[at:])

    assert got.tobytes() == plain[at:].tobytes()


@pytest.mark.parametrize("kv", KINDS)
@pytest.mark.parametrize(
    "without",
    [
        {"score_cap": 0.0},
        {"residual_scale": 1.0},
        {"logit_scale": 1.0},
        {"logit_cap": 0.0},
        {"embedding_scale": 1.0},
        {"score_scale": GEMMA.head_dim**-0.5},
        {"temperature": None},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_each_quirk_shows_in_the_logits(
    without: dict[str, object], kv: str, tmp_path: Path
) -> None:
    shape = replace(GEMMA, own={**GEMMA.own, "attention.scale": 0.3})
    path = tiny_model(tmp_path / "tiny.gguf", shape)
    want = load(path, with_all_others, kv).logits(TOKENS[:80])

    other = load(path, lambda config: replace(with_all_others(config), **without), kv)
    got = other.logits(TOKENS[:80])

    assert np.abs(got[-1] - want[-1]).max() > 1e-3 * np.abs(want).max()
