"""The plots of docs/performance.md: each shows one finding, and says it in its title."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

Line = dict[str, Any]
OWN = "Aboard"
COLOURS = {
    OWN: "#0b62c4",
    "OpenVINO GenAI": "#d98c2b",
    "llama.cpp+hugepages": "#6f7a86",
    "llama.cpp": "#b4bcc5",
}
NAMES = {"llama.cpp+hugepages": "llama.cpp on huge pages"}
INK, FAINT = "#22272e", "#8a939d"
KINDS = {"decode": "Decoding", "prompt": "Prompt of 512 tokens"}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "aboard",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "xtick.color": FAINT,
    "ytick.color": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def draw(small: Sequence[Line], large: Sequence[Line], contexts: Line | None, folder: Path) -> None:
    """Draws what there is data for into `folder`, as SVG."""
    if not small and contexts is None:
        return
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(STYLE):
        if small:
            save(formats(small), folder / "formats.svg")
            save(threads(small[0]), folder / "threads.svg")
            save(bound([*small, *large]), folder / "bound.svg")
        if contexts is not None:
            save(by_context(contexts), folder / "contexts.svg")


def save(figure: Figure, path: Path) -> None:
    """Writes the figure, the same bytes for the same data."""
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    plt.close(figure)


def speeds(line: Line, kind: str) -> list[Line]:
    """The speeds of one kind, by threads and context."""
    return [speed for speed in line["speeds"] if speed["kind"] == kind]


def at_most_threads(line: Line, kind: str) -> Line | None:
    """The speed with the most threads in the shortest context."""
    found = speeds(line, kind)
    return max(found, key=lambda speed: (speed["threads"], -speed["context"])) if found else None


def rates(speed: Line) -> dict[str, float]:
    """Median tokens per second by engine, ours first."""
    others = {other["name"]: other["tokens_per_s"]["median"] for other in speed["against"]}
    return {OWN: speed["tokens_per_s"]["median"], **others}


def ratio(speed: Line, name: str = "llama.cpp") -> float | None:
    """The median ratio to a peer."""
    for other in speed["against"]:
        if other["name"] == name:
            return float(other["ratio"]["median"])
    return None


def between(values: Sequence[float]) -> str:
    """`2.3 to 4.1 times`, or `2.3 times`."""
    low, high = f"{min(values):.1f}", f"{max(values):.1f}"
    return f"{low} times" if low == high else f"{low} to {high} times"


def panels(title: str, height: float, subtitle: str = "") -> tuple[Figure, list[Axes]]:
    """Two panels side by side under a title."""
    figure, axes = plt.subplots(1, 2, figsize=(9.6, height))
    figure.suptitle(title, x=0.02, y=0.985, ha="left", va="top", fontsize=13, fontweight="bold")
    figure.text(0.02, 1 - 0.42 / height, subtitle, ha="left", va="top", color=FAINT, fontsize=9.5)
    return figure, list(axes)


def key(figure: Figure, names: Sequence[str], height: float) -> None:
    """Names the engines in their colours, on one line under the title."""
    renderer = figure.canvas.get_renderer()
    x = 0.02
    for name in names:
        for text, colour, gap in (("■", COLOURS[name], 0.006), (NAMES.get(name, name), INK, 0.022)):
            drawn = figure.text(x, 1 - 0.72 / height, text, color=colour, va="top")
            extent = drawn.get_window_extent(renderer)
            x = figure.transFigure.inverted().transform(extent)[1][0] + gap


def bars(axes: Axes, groups: Sequence[tuple[str, Line]], title: str) -> None:
    """Horizontal bars of every engine, group by group; a tick marks what the machine allows."""
    engines = [name for name in COLOURS if any(name in rates(speed) for _, speed in groups)]
    longest = max(rate for _, speed in groups for rate in rates(speed).values())
    y, middles = 0.0, []
    for _, speed in groups:
        first = y
        for name in engines:
            rate = rates(speed).get(name)
            if rate is None:
                continue
            axes.barh(y, rate, height=0.86, color=COLOURS[name], linewidth=0)
            times = ratio(speed, name) if name != OWN else None
            text = f" {rate:,.0f}" + (f"   Aboard × {times:.1f}" if times else "")
            weight = "bold" if name == OWN else "normal"
            axes.text(rate, y, text, va="center", fontsize=8.5, fontweight=weight, color=INK)
            y += 1
        middles.append((first + y - 1) / 2)
        y += 0.9
    axes.set_yticks(middles, [label for label, _ in groups])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.set_xlim(0, longest * 1.3)
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title(f"{title}, tokens/s", loc="left", fontsize=10.5, color=INK)


def formats(lines: Sequence[Line]) -> Figure:
    """Both kinds of work by format, beside the other engines."""
    found = {
        kind: [(line["label"], at) for line in lines if (at := at_most_threads(line, kind))]
        for kind in KINDS
    }
    times = {kind: [times for _, speed in found[kind] if (times := ratio(speed))] for kind in KINDS}
    title = f"{len(lines)} files: "
    title += ", ".join(
        f"{word} {between(times[kind])}"
        for kind, word in (("decode", "decoding"), ("prompt", "prompts"))
        if times[kind]
    )
    count = max(len(rates(speed)) for groups in found.values() for _, speed in groups)
    height = 1.5 + 0.21 * (count + 0.9) * len(lines)
    n_threads = found["decode"][0][1]["threads"]
    subtitle = f"{n_threads} threads, median of {lines[0]['rounds']} rounds; the same file for all"
    figure, axes = panels(f"{title} llama.cpp's speed", height, subtitle)
    for panel, (kind, groups) in zip(axes, found.items(), strict=True):
        bars(panel, groups, KINDS[kind])
    figure.subplots_adjust(left=0.14, right=0.99, top=1 - 1.25 / height, bottom=0.03, wspace=0.42)
    present = {name for groups in found.values() for _, speed in groups for name in rates(speed)}
    key(figure, [name for name in COLOURS if name in present], height)
    return figure


def threads(line: Line) -> Figure:
    """Both kinds of work by number of threads."""
    gains = {}
    for kind in KINDS:
        found = speeds(line, kind)
        gains[kind] = found[-1]["tokens_per_s"]["median"] / found[0]["tokens_per_s"]["median"]
    most = max(speed["threads"] for speed in line["speeds"])
    height = 1.6 + 0.21 * 4 * len(speeds(line, "decode"))
    title = (
        f"{most} threads decode {gains['decode']:.1f} times as fast as one, "
        f"and process prompts {gains['prompt']:.1f} times as fast"
    )
    figure, axes = panels(title, height, f"{line['label']}, median of {line['rounds']} rounds")
    for panel, kind in zip(axes, KINDS, strict=True):
        groups = [
            (f"{speed['threads']} thread{'s' * (speed['threads'] > 1)}", speed)
            for speed in speeds(line, kind)
        ]
        bars(panel, groups, KINDS[kind])
    figure.subplots_adjust(left=0.09, right=0.99, top=1 - 1.25 / height, bottom=0.03, wspace=0.26)
    present = {name for speed in line["speeds"] for name in rates(speed)}
    key(figure, [name for name in COLOURS if name in present], height)
    return figure


def by_context(line: Line) -> Figure:
    """Both kinds of work by depth of context."""
    deepest = {kind: speeds(line, kind)[-1] for kind in KINDS}
    parts = [
        f"{word} {times:.1f} times"
        for kind, word in (("decode", "decoding"), ("prompt", "prompts"))
        if (times := ratio(deepest[kind]))
    ]
    depth = deepest["decode"]["context"]
    title = f"After {depth:,} tokens: {', '.join(parts)} llama.cpp's speed"
    height = 3.9
    n_threads = deepest["decode"]["threads"]
    subtitle = f"{line['label']}, {n_threads} threads, median and range of {line['rounds']} rounds"
    figure, axes = panels(title, height, subtitle)
    for panel, kind in zip(axes, KINDS, strict=True):
        curves(panel, speeds(line, kind))
        panel.set_title(f"{KINDS[kind]}, tokens/s", loc="left", fontsize=10.5)
        panel.set_xlabel("tokens in the context before", color=FAINT)
    figure.subplots_adjust(left=0.06, right=0.88, top=1 - 1.05 / height, bottom=0.14, wspace=0.5)
    return figure


def curves(axes: Axes, found: Sequence[Line]) -> None:
    """One line for each engine, named at its end; the bound as a dashed one."""
    contexts = [speed["context"] for speed in found]
    for name in [name for name in COLOURS if name in rates(found[0])]:
        figures = [
            speed["tokens_per_s"]
            if name == OWN
            else next(other for other in speed["against"] if other["name"] == name)["tokens_per_s"]
            for speed in found
        ]
        colour = COLOURS[name] if name == OWN else COLOURS["llama.cpp+hugepages"]
        medians = [figure["median"] for figure in figures]
        axes.fill_between(
            contexts,
            [figure["lowest"] for figure in figures],
            [figure["highest"] for figure in figures],
            color=colour,
            alpha=0.12,
            linewidth=0,
        )
        axes.plot(contexts, medians, color=colour, marker="o", markersize=4, linewidth=2)
        axes.annotate(
            f"{NAMES.get(name, name)} {medians[-1]:,.0f}",
            (contexts[-1], medians[-1]),
            xytext=(8, 7 if name == OWN else -7),  # apart, however near the ends are
            textcoords="offset points",
            color=colour,
            va="center",
            fontweight="bold" if name == OWN else "normal",
        )
    if found[0]["kind"] == "decode":
        bounds = [speed["bound_tokens_per_s"]["median"] for speed in found]
        axes.plot(contexts, bounds, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
        axes.annotate(
            "memory's\nbandwidth",
            (contexts[-1], bounds[-1]),
            xytext=(8, 4),
            textcoords="offset points",
            color=FAINT,
            fontsize=8.5,
            va="bottom",
        )
    axes.set_ylim(0, 1.05 * axes.get_ylim()[1])
    axes.set_xticks(contexts, [f"{context:,}" for context in contexts])
    axes.tick_params(axis="y", colors=FAINT)
    axes.grid(axis="y", color="#eceff2", linewidth=0.8)
    axes.set_axisbelow(True)


def bound(lines: Sequence[Line]) -> Figure:
    """Which part of what the machine allows was reached, by file."""
    found = {
        kind: [(line["label"], at) for line in lines if (at := at_most_threads(line, kind))]
        for kind in KINDS
    }
    share = {
        kind: [speed["bound_fraction"]["median"] for _, speed in groups]
        for kind, groups in found.items()
    }
    words = {"decode": "decoding {} of the bandwidth", "prompt": "prompts {} of the peak"}
    reached = [
        words[kind].format(f"{min(values) * 100:.0f} to {max(values):.0%}")
        for kind, values in share.items()
        if values
    ]
    title = f"Of what the machine allows: {', '.join(reached)}"
    height = 1.35 + 0.32 * len(lines)
    n_threads = found["decode"][0][1]["threads"]
    subtitle = f"{n_threads} threads; median and range; the bound is measured in the same rounds"
    figure, axes = panels(title, height, subtitle)
    for panel, (kind, groups) in zip(axes, found.items(), strict=True):
        shares(panel, groups)
        heads = {"decode": "Decoding, of the bandwidth", "prompt": "Prompt, of the integer peak"}
        panel.set_title(heads[kind], loc="left", fontsize=10.5)
    figure.subplots_adjust(left=0.14, right=0.97, top=1 - 1.0 / height, bottom=0.04, wspace=0.5)
    return figure


def shares(axes: Axes, groups: Sequence[tuple[str, Line]]) -> None:
    """A bar of what was reached on a track of what there is."""
    for y, (_, speed) in enumerate(groups):
        figure = speed["bound_fraction"]
        axes.barh(y, 1, height=0.56, color="#eef1f4", linewidth=0)
        axes.barh(y, min(figure["median"], 1), height=0.56, color=COLOURS[OWN], linewidth=0)
        axes.plot(
            [figure["lowest"], min(figure["highest"], 1)], [y, y], color=INK, linewidth=1, alpha=0.7
        )
        axes.text(1.02, y, f"{figure['median']:.0%}", va="center", fontweight="bold", fontsize=9)
    axes.set_yticks(range(len(groups)), [label for label, _ in groups])
    axes.tick_params(axis="y", length=0)
    axes.set_xlim(0, 1.12)
    axes.set_xticks([])
    axes.invert_yaxis()
    for spine in axes.spines.values():
        spine.set_visible(False)
