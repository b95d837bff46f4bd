"""The device: threads, instruction sets, and `ABOARD_ISA`."""

import os
from pathlib import Path

import pytest

from aboard import _native
from aboard.engine import load
from aboard.engine.device import (
    checked_threads,
    force_isa,
    supported_isas,
    usable_cores,
    use_isa,
    use_isa_of_environment,
)
from aboard.errors import UsageError
from tiny import tiny_llama


@pytest.fixture(autouse=True)
def _the_best_instruction_set_afterwards() -> object:
    yield
    _native.use_isa("")


def test_every_cpu_runs_scalar_and_the_best_comes_first() -> None:
    found = supported_isas()

    assert found[-1] == "scalar"
    assert len(set(found)) == len(found)
    assert _native.active_isa() == found[0]


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="needs Linux's list of CPU flags")
def test_the_instruction_sets_are_those_that_linux_names() -> None:
    flags = {
        word
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.lower().startswith(("flags", "features"))
        for word in line.split(":")[1].split()
    }
    wanted = {
        "avx512vnni": {
            "avx2",
            "f16c",
            "avx512f",
            "avx512bw",
            "avx512dq",
            "avx512vl",
            "avx512_vnni",
        },
        "avxvnni": {"avx2", "f16c", "avx_vnni"},
        "avx2": {"avx2", "f16c"},
        "neon_dot": {"asimddp"},
        "scalar": set(),
    }

    assert supported_isas() == [name for name, needs in wanted.items() if needs <= flags]


@pytest.mark.parametrize("isa", supported_isas())
def test_an_instruction_set_is_forced_until_the_block_ends(isa: str) -> None:
    before = _native.active_isa()

    with force_isa(isa):
        inside = _native.active_isa()

    assert inside == isa
    assert _native.active_isa() == before


def test_an_error_inside_ends_the_forcing_too() -> None:
    before = _native.active_isa()

    with pytest.raises(ZeroDivisionError), force_isa("scalar"):
        _ = 1 / 0

    assert _native.active_isa() == before


def test_forced_blocks_may_be_nested() -> None:
    with force_isa("scalar"):
        with force_isa(supported_isas()[0]):
            pass
        inside = _native.active_isa()

    assert inside == "scalar"


@pytest.mark.parametrize("name", ["sse9", "SCALAR", "avx2 ", "neon_dot,scalar"])
def test_an_unknown_instruction_set_is_refused_by_name_with_those_there_are(name: str) -> None:
    before = _native.active_isa()

    with pytest.raises(UsageError, match="scalar"):
        use_isa(name)
    with pytest.raises(UsageError), force_isa(name):
        pass

    assert _native.active_isa() == before


def test_the_environment_chooses_when_a_model_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABOARD_ISA", "scalar")

    load(tiny_llama(tmp_path / "tiny.gguf", layers=1))

    assert _native.active_isa() == "scalar"


def test_a_wrong_environment_is_refused_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ABOARD_ISA", "sse9")

    with pytest.raises(UsageError, match=r"ABOARD_ISA: .*'sse9'.*scalar"):
        load(tiny_llama(tmp_path / "tiny.gguf", layers=1))


@pytest.mark.parametrize("value", [None, ""])
def test_an_empty_environment_chooses_nothing(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("ABOARD_ISA", raising=False)
    if value is not None:
        monkeypatch.setenv("ABOARD_ISA", value)
    use_isa("scalar")

    use_isa_of_environment()

    assert _native.active_isa() == "scalar"


def test_threads_are_one_for_each_core_that_the_process_may_use() -> None:
    assert checked_threads(None) == usable_cores() == len(os.sched_getaffinity(0))


def test_any_number_of_threads_from_1_to_1024_will_do() -> None:
    assert [checked_threads(n) for n in (1, 7, 1024)] == [1, 7, 1024]


@pytest.mark.parametrize("threads", [0, -1, 1025, 2**40, 1.0, "2", True, [2]])
def test_other_numbers_of_threads_are_refused(threads: object) -> None:
    with pytest.raises(UsageError, match=r"threads is .*expected an integer from 1 to 1024"):
        checked_threads(threads)
