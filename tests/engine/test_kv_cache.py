"""Chunks of keys and values: shared by sequences, copied before they would change, given back."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aboard._native import KvCache
from aboard.engine import Model, Session, load
from tiny import tiny_llama

CHUNK = 64
TOKENS = [(i * 97 + 13) % 259 for i in range(300)]
OTHERS = [(i * 31 + 5) % 259 for i in range(300)]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    folder = tmp_path_factory.mktemp("model")
    return load(tiny_llama(folder / "tiny.gguf", fmt="Q8_0", head_dim=24), threads=1)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Model:
    """A model of which 64 tokens take 1 MiB."""
    folder = tmp_path_factory.mktemp("wide")
    return load(tiny_llama(folder / "wide.gguf", layers=4, heads=8, kv_heads=8, head_dim=128))


def filled(model: Model, tokens: list[int]) -> Session:
    session = model.session()
    session.prefill(tokens)
    return session


def heir(donor: Session, n_tokens: int) -> Session:
    """A session that takes over the donor's first tokens, chunk by chunk."""
    session = donor.model.session()
    cache = session.cache
    for first in range(0, n_tokens, CHUNK):
        chunk = donor.cache.share_chunk(first // CHUNK)
        cache.append_chunk(chunk, min(CHUNK, n_tokens - first))
    session.adopt(donor.tokens[:n_tokens])
    return session


def held(session: Session) -> bytes:
    """All keys and values."""
    n_chunks = -(-session.n_tokens // CHUNK)
    return b"".join(session.cache.export_chunk(i).tobytes() for i in range(n_chunks))


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGESIZE")


@pytest.mark.parametrize("n_tokens", [1, 63, 64, 100, 128])
def test_a_session_goes_on_from_shared_chunks_with_the_same_bits(
    model: Model, n_tokens: int
) -> None:
    session = heir(filled(model, TOKENS[:130]), n_tokens)

    got = session.logits(TOKENS[n_tokens:])

    assert got.tobytes() == model.logits(TOKENS)[n_tokens:].tobytes()


def test_a_shared_chunk_outlives_its_donor_and_whoever_gets_its_memory(model: Model) -> None:
    donor = filled(model, TOKENS[:130])
    session = heir(donor, 128)
    donor.close()
    other = filled(model, OTHERS)

    assert session.logits(TOKENS[128:]).tobytes() == model.logits(TOKENS)[128:].tobytes()
    assert held(other) == held(filled(model, OTHERS))


def test_a_donor_that_rewinds_and_goes_on_changes_no_heir(model: Model) -> None:
    donor = filled(model, TOKENS[:128])
    session = heir(donor, 128)
    donor.rewind(70)
    donor.prefill(OTHERS[:100])

    assert held(session) == held(filled(model, TOKENS[:128]))
    assert held(donor) == held(filled(model, TOKENS[:70] + OTHERS[:100]))


def test_an_heir_that_diverges_within_a_chunk_changes_no_donor(model: Model) -> None:
    donor = filled(model, TOKENS[:128])
    session = heir(donor, 90)
    session.prefill(OTHERS[:100])

    assert held(donor) == held(filled(model, TOKENS[:128]))
    assert held(session) == held(filled(model, TOKENS[:90] + OTHERS[:100]))


ACTS = st.one_of(
    st.tuples(st.just("extend"), st.integers(0, 3), st.integers(1, 90), st.integers(0, 258)),
    st.tuples(st.just("rewind"), st.integers(0, 3), st.integers(0, 200), st.just(0)),
    st.tuples(st.just("inherit"), st.integers(0, 3), st.integers(1, 200), st.integers(0, 3)),
    st.tuples(st.just("renew"), st.integers(0, 3), st.just(0), st.just(0)),
)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.lists(ACTS, min_size=4, max_size=20))
def test_sessions_that_share_hold_what_they_would_hold_alone(
    model: Model, acts: list[tuple[str, int, int, int]]
) -> None:
    sessions = [model.session() for _ in range(4)]

    for act, who, n_tokens, what in acts:
        if act == "extend" and sessions[who].n_tokens + n_tokens < 400:
            sessions[who].prefill([(what + i * i) % 259 for i in range(n_tokens)])
        elif act == "rewind":
            sessions[who].rewind(min(n_tokens, sessions[who].n_tokens))
        elif act == "renew":
            sessions[who].close()
            sessions[who] = model.session()
        elif act == "inherit":
            full = sessions[what].n_tokens // CHUNK * CHUNK
            sessions[who] = heir(sessions[what], min(n_tokens, full))

    for session in sessions:
        if session.n_tokens:
            assert held(session) == held(filled(model, list(session.tokens)))


def test_chunks_that_do_not_fit_are_refused(model: Model, wide: Model) -> None:
    donor = filled(model, TOKENS[:100])
    chunk = donor.cache.share_chunk(0)

    with pytest.raises(ValueError, match="no such full chunk"):
        donor.cache.share_chunk(1)
    with pytest.raises(ValueError, match="doesn't fit"):
        donor.cache.append_chunk(chunk, 64)
    with pytest.raises(ValueError, match="doesn't fit"):
        model.session().cache.append_chunk(chunk, 65)
    with pytest.raises(ValueError, match="doesn't fit"):
        model.decoder.new_cache(63).append_chunk(chunk, 64)
    with pytest.raises(ValueError, match="foreign"):
        wide.session().cache.append_chunk(chunk, 64)


# Memory.


def test_memory_comes_as_tokens_come_and_shared_chunks_count_once(wide: Model) -> None:
    before = wide.decoder.kv_memory()["used_bytes"]
    session = wide.session()
    used = [wide.decoder.kv_memory()["used_bytes"] - before]
    for n_tokens in (64, 1):
        session.prefill(TOKENS[:n_tokens])
        used.append(wide.decoder.kv_memory()["used_bytes"] - before)
    other = heir(session, 64)
    used.append(wide.decoder.kv_memory()["used_bytes"] - before)

    extents = wide.decoder.kv_memory()["extents"]
    assert sum(size_bytes for _, size_bytes in extents) >= 2 << 20
    assert all(address % (2 << 20) == 0 for address, _ in extents)
    assert session.cache.chunk_bytes == 1 << 20
    assert used == [0, 1 << 20, 2 << 20, 2 << 20]
    session.close()
    assert wide.decoder.kv_memory()["used_bytes"] - before == 1 << 20
    other.close()
    assert wide.decoder.kv_memory()["used_bytes"] == before


def fill_memory(model: Model, n_chunks: int) -> KvCache:
    """A cache of chunks whose bytes are all 1."""
    cache = model.decoder.new_cache(n_chunks * CHUNK)
    data = np.ones(cache.chunk_bytes, np.uint8)
    for _ in range(n_chunks):
        cache.import_chunk(data, CHUNK)
    return cache


def n_whole(cache: KvCache) -> int:
    """How many chunks have all their bytes as `fill_memory` wrote them."""
    n_chunks = cache.size // CHUNK
    return sum(bool((cache.export_chunk(i) == 1).all()) for i in range(n_chunks))


def test_a_long_sequence_that_ends_gives_its_memory_back_to_the_system(wide: Model) -> None:
    before = resident_bytes()
    cache = fill_memory(wide, 200)  # more than one segment
    filled_bytes = resident_bytes() - before

    del cache

    assert filled_bytes > 190 << 20
    assert resident_bytes() - before < 40 << 20
    assert wide.decoder.kv_memory()["free_bytes"] <= 16 << 20


def test_memory_between_sequences_is_given_back_and_used_again(wide: Model) -> None:
    caches = [fill_memory(wide, 50) for _ in range(3)]
    before = resident_bytes()

    del caches[:2]

    freed_bytes = before - resident_bytes()
    again = fill_memory(wide, 100)
    assert freed_bytes > 40 << 20
    assert resident_bytes() - before < 10 << 20
    assert (n_whole(caches[0]), n_whole(again)) == (50, 100)
