"""`aboard bench`: how fast a model is here, against what the machine allows and other engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.engine.benchmark import BenchReport, Speed, Spread

Counts = Annotated[
    str | None,
    typer.Option(
        "--threads",
        metavar="N,...",
        help="Numbers of threads: 2 or 1,2 or 1..N, where N is one per core.",
        show_default="one per core",
    ),
]


def bench(
    model: options.Model,
    threads: Counts = None,
    kv: options.Kv = "f16",
    context: Annotated[
        str,
        typer.Option(
            metavar="N,...", help="Tokens in the context before prompt or decoding: 0 or 0,2048."
        ),
    ] = "0",
    prompt: Annotated[
        int, typer.Option(metavar="N", min=0, help="Tokens of prompt; 0 leaves it out.")
    ] = 512,
    tokens: Annotated[
        int, typer.Option(metavar="N", min=0, help="Tokens to decode; 0 leaves it out.")
    ] = 128,
    sequences: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="Decode so many sequences together as well."),
    ] = 1,
    rounds: Annotated[
        int, typer.Option(metavar="N", min=1, help="Rounds, after one to warm up.")
    ] = 5,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ENGINE",
            help="Measure this engine in the same rounds: llama.cpp, or llama.cpp+hugepages, "
            "which has its memory on huge pages. May be repeated.",
        ),
    ] = None,
    peer: Annotated[
        str | None,
        typer.Option(
            metavar="ENV", help="The virtual environment that has llama-cpp-python, for --against."
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Measure MODEL: prompt and decode speed, time to first token, memory.

    Decoding is bound by the bandwidth of the memory, a prompt by the integer arithmetic of the
    cores; both are measured in every round, and the fractions of them that were reached are shown.
    Figures are medians, with their range in brackets.
    """
    from aboard.cli.output import json_result, note
    from aboard.engine.benchmark import Plan, benchmark, counts, peers_by_name
    from aboard.engine.device import usable_cores
    from aboard.store import resolve

    cores = usable_cores()
    plan = Plan(
        threads=() if threads is None else counts(threads, cores),
        contexts=counts(context, 0),
        prompt=prompt,
        tokens=tokens,
        sequences=sequences,
        rounds=rounds,
        kv=kv,
    )
    peers = peers_by_name(against or [], peer)
    report = benchmark(
        resolve(model), plan, against=peers, progress=lambda line: note(f"bench: {line}")
    )
    if as_json:
        json_result(report)
    else:
        _show(report)


def _show(report: BenchReport) -> None:
    from aboard.amounts import megabytes
    from aboard.cli.output import columns, facts, result

    peak = report.peak_rss_bytes
    values = {
        "machine": f"{report.processor}, {report.cores} cores, {report.isa}",
        "first token": f"{report.first_token_s * 1000:,.0f} ms after the start of loading, "
        f"which takes {report.load_s * 1000:,.0f} ms",
        "peak memory": "unknown" if peak is None else megabytes(peak),
        "huge pages": _huge_pages(report),
        "a token reads": f"{megabytes(report.weight_bytes_per_token)} of weights, "
        f"{megabytes(report.kv_bytes_per_token)} more for each token of context ({report.kv})",
    }
    for ceiling in report.ceilings:
        memory, integer = ceiling.memory_bytes_per_s, ceiling.integer_ops_per_s
        values[f"{ceiling.threads} threads" if ceiling.threads > 1 else "1 thread"] = (
            f"memory {_spread(memory, 1e-9, 1)} GB/s, "
            f"{_spread(integer, 1e-9, 0)} billion integer operations/s"
        )
    facts(values)
    result("")
    head = ("threads", "context", "", "tokens/s", "of the bound", "beside")
    columns([head, *(row for speed in report.speeds for row in _rows(speed))])


def _rows(speed: Speed) -> list[tuple[str, ...]]:
    """A speed's line, and one for each engine beside it."""
    kind = f"{speed.sequences} together" if speed.kind == "together" else speed.kind
    bound = "" if speed.bound_fraction is None else _percent(speed.bound_fraction)
    to_one = speed.ratio_to_one
    beside = "" if to_one is None else f"{_spread(to_one, 1, 2)} of one alone"
    first = (str(speed.threads), str(speed.context), kind, _spread(speed.tokens_per_s, 1, 1))
    rows: list[tuple[str, ...]] = [(*first, bound, beside)]
    for other in speed.against:
        rate = f"{_spread(other.ratio, 1, 2)} of {other.tokens_per_s.median:,.1f}, {other.name}"
        rows.append(("", "", "", "", "", f"{rate}, {other.baseline}"))
    return rows


def _huge_pages(report: BenchReport) -> str:
    pages = report.huge_pages
    if pages.weights is None or pages.kv_cache is None:
        return "unknown"
    text = f"{pages.weights:.0%} of the weights, {pages.kv_cache:.0%} of the KV cache"
    if pages.setting == "never":
        text += "; the system has them switched off (transparent_hugepage)"
    return text


def _spread(spread: Spread, scale: float, digits: int) -> str:
    low, high = spread.lowest * scale, spread.highest * scale
    return f"{spread.median * scale:,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def _percent(spread: Spread) -> str:
    return f"{spread.median:.0%} ({spread.lowest:.0%} to {spread.highest:.0%})"
