"""Maps of a model: a column for each layer, a row for each kind of matrix, a shade for a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from aboard import formats
from aboard.card.axes import short
from aboard.card.contents import Rung, Sensitivity
from aboard.card.described import StoredTensor, place_of
from aboard.card.drawing import Box, Drawing, cut, text_width
from aboard.card.words import percent
from aboard.formats import bits_of

N_SHADES = 9
_KINDS = (
    *("attn_q", "attn_k", "attn_v", "attn_qkv", "attn_output", "ssm_in", "shortconv.in_proj"),
    *("shortconv.out_proj", "ffn_gate", "ffn_up", "ffn_gate_up", "ffn_down"),
)
_WORDS = {
    "attn_q": "query",
    "attn_k": "key",
    "attn_v": "value",
    "attn_qkv": "query, key, value",
    "attn_output": "output",
    "ffn_gate": "gate",
    "ffn_up": "up",
    "ffn_down": "down",
    "token_embd": "embedding",
    "output": "head",
}
_LETTERS = ("query", "key", "value")  # where they stand together, as in papers: q, k, v


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure of some tensors.

    Attributes
    ----------
    layer : int or None
        None: of no layer.
    row : str
        What the tensors are called.
    shade : int
        0 to `N_SHADES` - 1.
    text, tip : str
        What stands in it where there is room, and what is shown where the mouse rests.
    """

    layer: int | None
    row: str
    shade: int
    text: str
    tip: str


@dataclass(frozen=True, slots=True)
class Step:
    """A shade and what it stands for, for the key beneath."""

    shade: int
    text: str


def bits_cells(tensors: Sequence[StoredTensor]) -> tuple[list[Cell], list[Step]]:
    """Bits of each tensor; the key has the formats, the smallest first."""
    bits = {each.format: each.bits for each in tensors}
    order = sorted(bits, key=lambda name: (bits[name], name))
    shades = {name: bits_shade(bits[name]) for name in order}
    several = len({each.format for each in tensors if each.layer is not None}) > 1
    cells = [
        Cell(
            each.layer,
            row_name([each.kind]),
            shades[each.format],
            f"{each.bits:.3g}" if several or each.layer is None else "",
            f"{each.name}: {each.format}, {each.bits:.4g} bits a weight, {each.size_bytes:,} bytes",
        )
        for each in tensors
    ]
    keys = [Step(shades[name], f"{name} {bits[name]:.4g}") for name in order]
    return cells, keys


def bits_shade(bits: float) -> int:
    """The same shade for the same bits on every card: 2 bits the faintest, 8 and more the last."""
    return round(min(max((bits - 2) / 6.5, 0), 1) * (N_SHADES - 1))


def sensitivity_cells(found: Sequence[Sensitivity]) -> tuple[list[Cell], list[Step]]:
    """What each part costs, on a logarithmic scale from the least to the most that one costs."""
    costs = [each.kl for each in found if each.kl > 0]
    if not costs:
        return [], []
    high = max(costs)
    low = max(min(costs), high / 1e4)
    span = math.log(high / low) or 1.0

    def shade(kl: float) -> int:
        part = math.log(max(kl, low) / low) / span
        return round(part * (N_SHADES - 1))

    cells = []
    for each in found:
        places = [place_of(name) for name in each.tensors]
        tip = f"{', '.join(each.tensors)} as {each.format}: {each.kl:.2g} nats"
        tip += "" if each.measured else ", estimated"
        cells.append(
            Cell(places[0][0], row_name([kind for _, kind in places]), shade(each.kl), "", tip)
        )
    middle = math.sqrt(low * high)
    keys = [Step(i, "") for i in range(N_SHADES)]
    keys[0] = Step(0, short(low))
    keys[N_SHADES // 2] = Step(N_SHADES // 2, short(middle))
    keys[-1] = Step(N_SHADES - 1, f"{short(high)} nats a token")
    return cells, keys


def format_bars(rungs: Sequence[Rung], width: float, words: str) -> Drawing:
    """A bar for each size, cut by the formats of its weights, the smallest formats first."""
    left = min(max(text_width(each.name) for each in rungs) + 14, width * 0.34)
    high = 24.0
    drawing = Drawing(width, len(rungs) * (high + 6), words)
    for i, rung in enumerate(rungs):
        y, x = i * (high + 6), left
        drawing.text((left - 8, y + 16), cut(rung.name, left - 8), "ink", "end")
        total = sum(rung.weights_by_format.values())
        for name in sorted(rung.weights_by_format, key=bits_of_format):
            share = rung.weights_by_format[name] / total
            wide = share * (width - left)
            shade = bits_shade(bits_of_format(name))
            tip = f"{rung.name}: {percent(share)} of the weights are {name}"
            drawing.rect(Box(x, y, max(wide - 1, 0.5), high), f"shade{shade}", round=1.5, tip=tip)
            for text in (f"{name} {percent(share, 0)}", name):
                if text_width(text, 12) + 8 < wide:
                    look = "on-dark" if shade > N_SHADES // 2 else "on-light"
                    drawing.text((x + 6, y + 16), text, look)
                    break
            x += wide
    return drawing


def format_steps(rungs: Sequence[Rung]) -> list[Step]:
    """The formats of all sizes, for the key beneath."""
    names = {name for each in rungs for name in each.weights_by_format}
    return [
        Step(bits_shade(bits_of_format(name)), f"{name} {bits_of_format(name):.4g}")
        for name in sorted(names, key=bits_of_format)
    ]


def bits_of_format(name: str) -> float:
    """Bits of a weight; of formats that aren't known, more than any has."""
    if name not in formats.NAMES:
        return math.inf
    return bits_of(name)


def row_name(kinds: Sequence[str]) -> str:
    """What a row of the map is called."""
    words = [_WORDS.get(kind, kind) for kind in kinds]
    return (
        ", ".join(word[0] if word in _LETTERS else word for word in words)
        if words[1:]
        else words[0]
    )


def part_name(tensors: Sequence[str]) -> str:
    """What some tensors of a layer are called together: `gate, up of layer 3`."""
    places = [place_of(name) for name in tensors]
    layer = places[0][0] if places else None
    kinds = row_name([kind for _, kind in places])
    return kinds if layer is None else f"{kinds} of layer {layer}"


def layer_map(cells: Sequence[Cell], width: float, words: str) -> Drawing:
    """The cells of all layers, and beneath them a bar for each tensor that is of no layer."""
    inner = [cell for cell in cells if cell.layer is not None]
    outer = [cell for cell in cells if cell.layer is None]
    rows = _ordered(dict.fromkeys(cell.row for cell in inner))
    layers = sorted({cell.layer for cell in inner if cell.layer is not None})
    names = [*rows, *(cell.row for cell in outer)]
    left = max((text_width(name) for name in names), default=0) + 14
    left = min(left, width * 0.34)
    high = 22.0
    heights = len(rows) * high + (26 if rows else 0) + len(outer) * (high + 4)
    drawing = Drawing(width, heights + 6, words)
    step = (width - left) / max(len(layers), 1)
    places = {layer: left + i * step for i, layer in enumerate(layers)}
    for cell in inner:
        assert cell.layer is not None
        box = Box(places[cell.layer], rows.index(cell.row) * high, step - 1, high - 1)
        _cell(drawing, box, cell)
    for i, row in enumerate(rows):
        drawing.text((left - 8, i * high + 15), cut(row, left - 8), "ink", "end")
    y = len(rows) * high + 14
    _layer_numbers(drawing, layers, places, step, y)
    y += 12 if rows else -14
    for cell in outer:
        _cell(drawing, Box(left, y, width - left - 1, high - 1), cell)
        drawing.text((left - 8, y + 15), cut(cell.row, left - 8), "ink", "end")
        y += high + 4
    return drawing


def _cell(drawing: Drawing, box: Box, cell: Cell) -> None:
    drawing.rect(box, f"shade{cell.shade}", round=1.5, tip=cell.tip)
    if cell.text and box.width > text_width(cell.text, 10) + 3:
        look = "on-dark" if cell.shade > N_SHADES // 2 else "on-light"
        middle = (box.x + box.width / 2, box.y + box.height / 2 + 3.5)
        drawing.text(middle, cell.text, f"cell {look}", "middle")


def _layer_numbers(
    drawing: Drawing,
    layers: Sequence[int],
    places: dict[int, float],
    step: float,
    y: float,
) -> None:
    if not layers:
        return
    every = next((n for n in (1, 2, 5, 10, 20, 50) if n * step > 26), 100)
    free_from = 0.0
    for i, layer in enumerate(layers):
        if i % every:
            continue
        text = str(layer) if i else f"layer {layer}"
        middle = places[layer] + step / 2
        left = middle - text_width(text) / 2 if i else places[layer]
        if left >= free_from:
            drawing.text((left, y), text, "faint small")
            free_from = left + text_width(text) + 6


def _ordered(rows: dict[str, None]) -> list[str]:
    """The usual kinds in the order in which a token meets them, then others as they came."""
    usual = [row_name([kind]) for kind in _KINDS]

    def place(row: str) -> int:
        first = row.partition(", ")[0]
        first = _WORDS["attn_q"] if first == "q" else first
        return usual.index(first) if first in usual else len(usual)

    return sorted(rows, key=place)
