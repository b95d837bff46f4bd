"""`aboard bench`: how fast a model is here, against what the machine allows."""

from __future__ import annotations

from typing import Annotated

import typer

from aboard.cli import options


def bench(
    model: options.Model,
    threads: options.Threads = None,
    kv: options.Kv = "f16",
    context: Annotated[
        int, typer.Option(metavar="N", min=0, help="Tokens in the context before the prompt.")
    ] = 0,
    prompt: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens of prompt.")] = 512,
    tokens: Annotated[int, typer.Option(metavar="N", min=1, help="Tokens to generate.")] = 128,
    as_json: options.Json = False,
) -> None:
    """Measure MODEL: prompt and decode speed, time to first token, memory.

    Decoding is bound by the bandwidth of the memory, a prompt by the integer arithmetic of the
    cores; both are measured here and the fractions of them that were reached are shown.
    """
    from aboard.cli.output import facts, json_result, megabytes
    from aboard.engine.benchmark import benchmark
    from aboard.store import resolve

    report = benchmark(
        resolve(model), threads=threads, kv=kv, context=context, prompt=prompt, tokens=tokens
    )
    if as_json:
        json_result(report)
        return
    facts(
        {
            "decode": f"{report.decode_tokens_per_s:,.1f} tokens/s, "
            f"{report.decode_bound_fraction:.0%} of what the memory's bandwidth allows",
            "prompt": f"{report.prompt_tokens_per_s:,.1f} tokens/s, "
            f"{report.prompt_bound_fraction:.0%} of what the integer peak allows",
            "first token": f"{report.first_token_s * 1000:,.0f} ms after the start of loading",
            "peak memory": megabytes(report.peak_rss_bytes),
            "keys and values": report.kv,
            "machine": f"{report.threads} threads, {report.isa}, "
            f"{report.memory_bytes_per_s / 1e9:,.1f} GB/s, "
            f"{report.integer_ops_per_s / 1e9:,.0f} billion integer operations/s",
        }
    )
