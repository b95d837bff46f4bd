"""This machine, measured: the figures are those that the probes give."""

import os

import pytest

from aboard.engine.device import supported_isas, usable_cores
from aboard.errors import NotEnoughMemory, UnsupportedFile
from aboard.planning import machine_memory, measure_device, measuring
from aboard.planning.measuring import counts


class Probe:
    """Ceilings whose samples grow from round to round."""

    def __init__(self, most_threads: int, cores: int) -> None:
        self.samples = 0

    def bandwidth(self, threads: int) -> float:
        self.samples += 1
        return threads * 1e9 * self.samples

    def peak(self, threads: int) -> float:
        from aboard import _native

        return threads * 1e9 * (1 + supported_isas().index(_native.active_isa()))


@pytest.mark.parametrize(
    ("cores", "measured"),
    [(1, [1]), (3, [1, 2, 3]), (8, [*range(1, 9)]), (24, [*range(1, 9), 16, 24])],
)
def test_of_many_threads_doublings_are_measured(cores: int, measured: list[int]) -> None:
    assert counts(cores) == measured


def test_medians_for_every_number_of_threads_and_instruction_set(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "Ceilings", Probe)
    monkeypatch.setattr(measuring, "_cores", lambda: 2)
    told: list[str] = []

    device = measure_device(told.append)

    # Samples 1 to 10, of one thread and of two in turn.
    assert [each.bytes_per_s for each in device.ceilings] == [5e9, 2 * 6e9]
    assert [each.threads for each in device.ceilings] == [1, 2]
    assert device.isa == supported_isas()[0]
    assert device.ceilings[1].ops_per_s == {
        isa: 2e9 * (1 + i) for i, isa in enumerate(supported_isas())
    }
    assert device.logical_cores == os.cpu_count()
    assert device.available_bytes <= device.memory_bytes
    assert told == ["measuring memory and arithmetic, 2 threads"]


@pytest.mark.parametrize(("limit", "cores"), [(None, None), (1.2, 1), (0.3, 1), (1000.0, None)])
def test_cores_are_those_whose_time_is_granted(
    monkeypatch: pytest.MonkeyPatch, limit: float | None, cores: int | None
) -> None:
    monkeypatch.setattr(machine_memory, "cpu_limit", lambda: limit)

    assert measuring._cores() == (usable_cores() if cores is None else cores)


def test_too_little_memory_is_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(measuring, "Ceilings", refuse)

    with pytest.raises(NotEnoughMemory, match="grants no memory"):
        measure_device()


def test_a_system_that_tells_nothing_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_memory, "memory", lambda: None)

    with pytest.raises(UnsupportedFile, match="doesn't tell how much memory") as caught:
        measure_device()

    assert "--ram" in (caught.value.hint or "")
