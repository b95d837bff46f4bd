"""Writes the speed tables of docs/performance.md and draws its plots, from results.jsonl alone.

    python bench/report.py [--page docs/performance.md] [--results bench/results.jsonl]

Of every run of speed.py, and of busy.py, the newest line counts that was measured on the same
machine as the newest of all. A table stands between `<!-- results: NAME -->` and `<!-- end -->`;
what is between them is replaced.
"""

import argparse
import json
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from engines import RESULTS, ROOT
from plots import draw

Line = dict[str, Any]
MODELS = {
    "smollm2-135m": "135M, as shipped",
    "smollm2-135m.Q4_0": "135M, Q4_0",
    "smollm2-135m.Q8_0": "135M, Q8_0",
    "smollm2-135m.Q4_K_M": "135M, Q4_K_M",
    "llama-1b.Q4_0": "1B shape, Q4_0",
    "llama-1b.Q4_K": "1B shape, Q4_K",
    "llama-8b.Q4_0": "8B shape, Q4_0",
    "qwen2-0.5b.Q4_0": "Qwen2.5-0.5B shape, Q4_0",
    "gemma3-270m.Q4_0": "Gemma 3 270M shape, Q4_0",
    "phi-mini-8.Q4_0": "Phi-3-mini shape, 8 of 32 layers, Q4_0",
}
SMALL = ("shipped", "q4_0", "q8_0", "q4_k_m")
LARGE = ("1b q4_0", "1b q4_k", "8b q4_0", "qwen2", "gemma3", "phi3")
PEERS = {
    "llama.cpp": "llama.cpp",
    "llama.cpp+hugepages": "llama.cpp on huge pages",
    "OpenVINO GenAI": "OpenVINO GenAI",
}
_SECTION = re.compile(r"(<!-- results: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def newest(path: Path) -> tuple[dict[str, Line], Line | None]:
    """The lines of speed.py by run, and that of busy.py, all of the machine measured last."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    speeds = [line for line in lines if line["bench"] == "speed" and "run" in line]
    if not speeds:
        return {}, None
    machine = speeds[-1]["machine"]
    busy = [line for line in lines if line["bench"] == "busy" and line["machine"] == machine]
    runs = {line["run"]: line for line in speeds if line["machine"] == machine}
    return runs, busy[-1] if busy else None


def spread(figure: Line, form: str = ",.1f") -> str:
    """`2.27 (2.15 to 2.35)`."""
    median, low, high = (format(figure[key], form) for key in ("median", "lowest", "highest"))
    return f"{median} ({low} to {high})"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def speeds_table(lines: Iterable[Line]) -> str:
    """Every speed of these lines beside the peers that were measured."""
    speeds = [(line["model"], speed) for line in lines for speed in line["speeds"]]
    speeds.sort(key=lambda each: each[1]["kind"] != "decode")  # stable: decoding first
    present = {other["name"] for _, speed in speeds for other in speed["against"]}
    peers = [name for name in PEERS if name in present]
    head = ["", "file", "threads", "context", "tokens/s", "of the bound"]
    rows = []
    for model, speed in speeds:
        beside = {other["name"]: other for other in speed["against"]}
        row = [speed["kind"], MODELS[model], str(speed["threads"]), f"{speed['context']:,}"]
        row += [spread(speed["tokens_per_s"]), f"{speed['bound_fraction']['median']:.0%}"]
        row += [
            f"**{spread(beside[name]['ratio'], '.2f')}** of "
            f"{beside[name]['tokens_per_s']['median']:,.1f}"
            if name in beside
            else ""
            for name in peers
        ]
        rows.append(row)
    return table([*head, *(f"times {PEERS[name]}" for name in peers)], rows)


def picture(text: str, name: str) -> str:
    """A plot, in Markdown."""
    return f"![{text}](plots/{name}.svg)\n\n"


def machine_text(runs: dict[str, Line]) -> str:
    """What was measured on what, and what the machine allowed."""
    line = list(runs.values())[-1]
    versions = sorted(
        {
            f"{PEERS[peer['name']]} {peer['version']}"
            for run in runs.values()
            for peer in run["peers"]
        }
    )
    text = f"{line['processor']}, {line['cores']} cores, `{line['isa']}`, {line['date']}"
    text += f"; beside {', '.join(versions)}" if versions else ""
    text += f". {line['rounds']} rounds.\n\n"
    source = runs.get("shipped", line)
    rows = [
        [
            str(ceiling["threads"]),
            f"{scaled(ceiling['memory_bytes_per_s'], 1e-9, '.1f')} GB/s",
            f"{scaled(ceiling['integer_ops_per_s'], 1e-9, '.0f')} billion/s",
        ]
        for ceiling in source["ceilings"]
    ]
    text += table(["threads", "memory read, 2 MiB pages", "8-bit operations"], rows)
    pages = source["huge_pages"]
    if pages["weights"] is not None:
        text += (
            f"\nOn huge pages: {pages['weights']:.0%} of the packed weights, "
            f"{pages['kv_cache']:.0%} of the KV cache.\n"
        )
    return text


def scaled(figure: Line, scale: float, form: str) -> str:
    """As `spread`, in another unit."""
    return spread({key: figure[key] * scale for key in ("median", "lowest", "highest")}, form)


def together_text(line: Line) -> str:
    """Several sequences beside one."""
    rows = [
        [
            f"{speed['sequences']}",
            str(speed["threads"]),
            spread(speed["tokens_per_s"]),
            spread(speed["ratio_to_one"], ".2f") if speed["ratio_to_one"] else "",
        ]
        for speed in line["speeds"]
    ]
    return table(["sequences", "threads", "tokens/s of all", "times one alone"], rows)


def more_threads_text(line: Line) -> str:
    """More threads than cores, beside as many as cores in the same round."""
    rows = []
    for kind in ("decode", "prompt"):
        speeds = [speed for speed in line["speeds"] if speed["kind"] == kind]
        base = next(speed for speed in speeds if speed["threads"] == line["cores"])
        for speed in speeds:
            pairs = zip(
                speed["tokens_per_s"]["rounds"], base["tokens_per_s"]["rounds"], strict=True
            )
            kept = sorted(more / cores for more, cores in pairs)
            middle = {"median": kept[len(kept) // 2], "lowest": kept[0], "highest": kept[-1]}
            rows.append(
                [kind, str(speed["threads"]), spread(speed["tokens_per_s"]), spread(middle, ".0%")]
            )
    return table(["", "threads", "tokens/s", f"of that with {line['cores']}"], rows)


def busy_text(line: Line) -> str:
    """What is left beside busy loops, engine by engine."""
    rows = [
        [
            "Aboard" if name == "aboard" else name,
            spread(figures["quiet_tokens_per_s"]),
            spread(figures["busy_tokens_per_s"]),
            spread(figures["kept"], ".0%"),
        ]
        for name, figures in line.items()
        if isinstance(figures, dict) and "kept" in figures
    ]
    head = ["", "alone, tokens/s", f"beside {line['loops']} busy loops", "kept"]
    return table(head, rows)


def sections(runs: dict[str, Line], busy: Line | None) -> dict[str, Callable[[], str]]:
    """How each section of the page is written; those whose runs are missing are left out."""
    small = [runs[name] for name in SMALL if name in runs]
    large = [runs[name] for name in LARGE if name in runs]
    found: dict[str, Callable[[], str]] = {}
    if runs:
        found["machine"] = lambda: machine_text(runs)
    if small:
        formats = picture("Speed by format, beside other engines", "formats")
        formats += picture("Speed by number of threads", "threads")
        found["formats"] = lambda: formats + speeds_table(small)
    if large:
        bound = picture("How much of what the machine allows was reached, by file", "bound")
        found["large"] = lambda: bound + speeds_table(large)
    if "contexts" in runs:
        contexts = picture("Speed by tokens of context, beside llama.cpp", "contexts")
        found["contexts"] = lambda: contexts + speeds_table([runs["contexts"]])
    if "together" in runs:
        found["together"] = lambda: together_text(runs["together"])
    if "more threads" in runs:
        found["more threads"] = lambda: more_threads_text(runs["more threads"])
    if busy is not None:
        found["busy"] = lambda: busy_text(busy)
    return found


def rewritten(page: str, found: dict[str, Callable[[], str]]) -> str:
    """The page with its sections replaced."""

    def replaced(match: re.Match[str]) -> str:
        write = found.get(match[2])
        text = write().rstrip() if write else "Not measured yet."
        return f"{match[1]}{text}\n{match[3]}"

    return _SECTION.sub(replaced, page)


def main() -> None:
    """Rewrites the page and draws the plots beside it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "performance.md")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    runs, busy = newest(options.results)
    options.page.write_text(rewritten(options.page.read_text(), sections(runs, busy)))
    labelled = {
        name: line | {"label": MODELS[line["model"]]}
        for name, line in runs.items()
        if line["model"] in MODELS
    }
    draw(
        [labelled[name] for name in SMALL if name in labelled],
        [labelled[name] for name in LARGE if name in labelled],
        labelled.get("contexts"),
        options.page.parent / "plots",
    )


if __name__ == "__main__":
    main()
