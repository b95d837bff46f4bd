"""Axes: where figures are, which of them are written, and names that hide nothing."""

import pytest

from aboard.card.axes import Label, Scale, around, put_labels, short
from aboard.card.drawing import Box, Drawing
from aboard.card.maps import bits_shade, part_name


def test_a_scale_goes_from_end_to_end_and_not_beyond() -> None:
    scale = Scale(1, 100, 0, 200, logarithmic=True)

    assert [scale(value) for value in (1, 10, 100)] == pytest.approx([0, 100, 200])
    assert (scale(0.1), scale(1e9)) == (0, 200)


@pytest.mark.parametrize(
    ("low", "high", "logarithmic", "want"),
    [
        (0, 10, False, [0, 2, 4, 6, 8, 10]),
        (-0.03, 0.11, False, [0, 0.05, 0.1]),
        (0.001, 1, True, [0.001, 0.01, 0.1, 1]),
        (0.008, 0.25, True, [0.01, 0.02, 0.05, 0.1, 0.2]),
        (86, 116, True, [90, 95, 100, 105, 110, 115]),
    ],
)
def test_round_figures_are_written(
    low: float, high: float, logarithmic: bool, want: list[float]
) -> None:
    assert Scale(low, high, 0, 1, logarithmic).ticks(6) == pytest.approx(want)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.0001, "0.0001"),
        (0.05, "0.05"),
        (0.0123, "0.012"),
        (1.5, "1.5"),
        (1e4, "10,000"),
    ],
)
def test_figures_are_short(value: float, text: str) -> None:
    assert short(value) == text


def test_equal_figures_have_room_around_them() -> None:
    for logarithmic in (False, True):
        low, high = around([2.0, 2.0], logarithmic=logarithmic)

        assert low < 2 < high


def test_names_hide_no_other_and_one_without_room_is_left_out() -> None:
    drawing = Drawing(120, 100, "names")
    labels = [Label((60, 50), f"name {i}", "ink") for i in range(30)]

    put_labels(drawing, labels, [Box(55, 45, 10, 10)], Box(0, 0, 120, 100))

    assert 2 <= drawing.svg().count("<text") < 30


def test_more_bits_are_never_fainter() -> None:
    shades = [bits_shade(bits) for bits in (1, 2.6, 3.4, 4.5, 5.5, 6.6, 8.5, 16, 32)]

    assert shades == sorted(shades)
    assert (shades[0], shades[-1]) == (0, 8)


@pytest.mark.parametrize(
    ("tensors", "name"),
    [
        (["blk.3.attn_q.weight", "blk.3.attn_k.weight"], "q, k of layer 3"),
        (["blk.0.ffn_down.weight"], "down of layer 0"),
        (["token_embd.weight"], "embedding"),
        (["odd"], "odd"),
    ],
)
def test_parts_have_names(tensors: list[str], name: str) -> None:
    assert part_name(tensors) == name
