"""Models whose tensors are the same and whose hyper-parameters differ are told apart."""

from pathlib import Path

import pytest

import aboard
from aboard.engine.attest import identity
from aboard.errors import SessionMismatch
from aboard.models.decoder import Rope
from aboard.models.digest import config_sha256
from tiny import tiny_llama

TOKENS = list(range(70))


def load(file: Path) -> aboard.Model:
    return aboard.load(file, threads=1, context=128)


def test_the_same_file_has_the_same_hash(tmp_path: Path) -> None:
    first, second = (load(tiny_llama(tmp_path / name)) for name in ("a.gguf", "b.gguf"))

    assert identity(first) == identity(second)
    assert len(config_sha256(first.config)) == 64


def test_a_name_that_no_computation_reads_changes_nothing(tmp_path: Path) -> None:
    plain = load(tiny_llama(tmp_path / "a.gguf"))
    named = load(tiny_llama(tmp_path / "b.gguf", metadata={"general.name": "another"}))

    assert config_sha256(plain.config) == config_sha256(named.config)


@pytest.mark.parametrize(
    "metadata",
    [
        {"llama.rope.freq_base": 20_000.0},
        {"llama.attention.layer_norm_rms_epsilon": 1e-3},
        {"llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2.0},
    ],
)
def test_one_hyper_parameter_changes_it(tmp_path: Path, metadata: dict) -> None:
    one = load(tiny_llama(tmp_path / "a.gguf"))
    other = load(tiny_llama(tmp_path / "b.gguf", metadata=metadata))

    assert one.weights_sha256 == other.weights_sha256
    assert config_sha256(one.config) != config_sha256(other.config)
    assert identity(one) != identity(other)


def test_a_session_of_the_other_is_refused(tmp_path: Path) -> None:
    one = load(tiny_llama(tmp_path / "a.gguf"))
    other = load(tiny_llama(tmp_path / "b.gguf", metadata={"llama.rope.freq_base": 20_000.0}))
    with one.session() as session:
        session.logits(TOKENS)
        session.save(tmp_path / "kept.state")

    with other.session() as session, pytest.raises(SessionMismatch, match="config_sha256 is"):
        session.restore(tmp_path / "kept.state")


def test_fields_at_their_defaults_do_not_count() -> None:
    """Else a field that is new would change the hash of every model there is."""
    from aboard.models.digest import _plain

    rope = Rope(base=1e4, rotated_dims=8, pairs="halves")

    assert _plain(rope) == {"part": "Rope", "base": 1e4, "rotated_dims": 8, "pairs": "halves"}
