"""What a device leaves for weights: what a plan says fits, to the page of memory."""

import re
from pathlib import Path

import pytest

from aboard.errors import ContextOverflow, UsageError
from aboard.planning import Room, given_device, plan, room_for_weights
from planning.devices import LAPTOP, laptop
from tiny import tiny_llama

PAGE = 2 << 20


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return tiny_llama(tmp_path / "tiny.gguf", layers=8, kv_heads=4, context=8192)


@pytest.mark.parametrize("options", [{"context": 512}, {"users": 3}, {"kv": "int8"}])
def test_room_is_what_a_plan_leaves(source: Path, options: dict[str, int | str]) -> None:
    room = room_for_weights(source, LAPTOP, **options)

    asked = {name: value for name, value in options.items() if name != "kv"}
    found = plan(source, LAPTOP, **asked).candidates[1 if "kv" in options else 0]
    left = found.margin_bytes + found.memory.weights
    assert left - 2 * PAGE < room.weights_bytes <= left
    assert room.weights_bytes % PAGE == 0


def test_a_device_that_holds_no_weights_has_no_room(source: Path) -> None:
    assert room_for_weights(source, given_device(20_000_000, None)).weights_bytes == 0


def room_of(source: Path, memory_bytes: int, **options: int) -> Room:
    return room_for_weights(source, given_device(memory_bytes, None), name="8GB", **options)


def test_what_fits_is_not_refused(source: Path) -> None:
    room = room_of(source, 100_000_000)

    room.require(room.weights_bytes)


def test_the_hint_says_the_longest_contexts_that_do_fit(source: Path) -> None:
    smallest = 40_000_000
    room = room_of(source, 100_000_000, context=8192, users=4)

    with pytest.raises(
        UsageError, match=r"no file fits 8GB: it has 100\.0 MB for the model"
    ) as caught:
        room.require(smallest)

    assert caught.value.hint is not None
    ways = re.findall(r"--context (\d+)( --users 1)?( --kv int8)?", caught.value.hint)
    assert {way[1:] for way in ways} == {
        *(("", ""), ("", " --kv int8"), (" --users 1", ""), (" --users 1", " --kv int8"))
    }
    for context, alone, int8 in ways:
        asked = {"users": 1 if alone else 4, "kv": "int8" if int8 else "f16"}
        fits = room_of(source, 100_000_000, context=int(context), **asked)
        longer = room_of(source, 100_000_000, context=int(context) + 64, **asked)
        assert fits.weights_bytes >= smallest > longer.weights_bytes


def test_where_no_context_fits_the_hint_says_what_the_model_takes(source: Path) -> None:
    room = room_of(source, 60_000_000)

    with pytest.raises(UsageError) as caught:
        room.require(40_000_000)

    assert caught.value.hint is not None
    found = re.fullmatch(
        r"This model takes (.*) MB at least: take a smaller one.", caught.value.hint
    )
    assert found is not None
    assert float(found[1]) > 80


@pytest.mark.parametrize("users", [0, -1, 1025, True])
def test_room_is_told_for_as_many_users_as_there_may_be(source: Path, users: int) -> None:
    with pytest.raises(UsageError, match=f"users is {users}"):
        room_for_weights(source, LAPTOP, users=users)


def test_numbers_out_of_range_are_refused(source: Path) -> None:
    with pytest.raises(ContextOverflow, match="the model's context holds 8192"):
        room_for_weights(source, LAPTOP, context=8193)
    with pytest.raises(UsageError, match="kv is 'f32'"):
        room_for_weights(source, LAPTOP, kv="f32")


def test_a_limit_of_the_control_group_counts(source: Path) -> None:
    limited = room_for_weights(source, laptop(limit_bytes=1_000_000_000))

    assert limited.weights_bytes < 1_000_000_000 < room_for_weights(source, LAPTOP).weights_bytes
