"""How many tokens a second do many streams get at once, and how long do they wait for the first?

    python bench/streams.py MODEL TEXT --llama-server PROGRAM [--streams 32] [--tokens 64]
                            [--threads 2] [--rounds 3]

Baseline: llama.cpp's `llama-server` with the same file, as many slots and threads. In every round
each server in turn gets all the requests at once, over the loopback: other pieces of TEXT of about
128 tokens every time, so that no cache helps, as streamed /v1/completions of so many tokens,
greedy, which can't end by themselves. Figures, of each round: tokens of all streams over the time
from the first request to the last event; the 95th percentile of the time to a first event.
"""

import argparse
import asyncio
import dataclasses
import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

from engines import record

import aboard
from aboard.engine.benchmark import Spread

PIECE = 512  # characters of a prompt
START_S = 120.0


@dataclass(frozen=True)
class Burst:
    """What one round of one server showed."""

    tokens_per_s: float
    first_p95_s: float


def free_port() -> int:
    """A port of the loopback that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def served(command: list[str], port: int) -> Iterator[int]:
    """A server, once it answers."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            asyncio.run(healthy(port, server))
            yield port
        finally:
            server.terminate()


async def healthy(port: int, server: subprocess.Popen[bytes]) -> None:
    """Wait until /health says 200."""
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        if server.poll() is not None:
            raise SystemExit(f"bench: {server.args} ended with {server.returncode}")
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.2)
            continue
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        status = (await reader.readline()).split()
        writer.close()
        if status[1:2] == [b"200"]:
            return
        await asyncio.sleep(0.2)
    raise SystemExit(f"bench: {server.args} isn't ready after {START_S:.0f} s")


async def stream(port: int, body: dict[str, object]) -> float:
    """Ask for one answer and read it to its end; the seconds to its first event."""
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    data = json.dumps(body).encode()
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(data), data)
    )
    status = (await reader.readline()).split()
    if status[1:2] != [b"200"]:
        raise SystemExit(f"bench: {status}: {await reader.read()!r}")
    first = None
    while line := await reader.readline():
        if first is None and line.startswith(b"data:"):
            first = time.perf_counter() - began
        if line.startswith(b"data: [DONE]"):
            break
    writer.close()
    if first is None:
        raise SystemExit("bench: a stream had no event")
    return first


async def burst(port: int, bodies: list[dict[str, object]], n_tokens: int) -> Burst:
    """All requests at once."""
    began = time.perf_counter()
    firsts = await asyncio.gather(*(stream(port, body) for body in bodies))
    elapsed_s = time.perf_counter() - began
    return Burst(len(bodies) * n_tokens / elapsed_s, quantiles(firsts, n=20)[-1])


def main() -> None:
    """Measures, prints and records one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--llama-server", required=True, type=Path)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    bursts = measured(options)
    facts: dict[str, object] = {}
    for name, rounds in bursts.items():
        rate = Spread.of([each.tokens_per_s for each in rounds])
        first = Spread.of([each.first_p95_s for each in rounds])
        facts[name] = {
            "tokens_per_s": dataclasses.asdict(rate),
            "first_p95_s": dataclasses.asdict(first),
        }
        print(
            f"{name:10} {rate.median:.1f} tokens/s, first token within {first.median:.2f} s (p95)"
        )
    pairs = zip(bursts["aboard"], bursts["llama.cpp"], strict=True)
    ratio = Spread.of([own.tokens_per_s / peer.tokens_per_s for own, peer in pairs])
    print(f"ratio {ratio.median:.2f} ({ratio.lowest:.2f} to {ratio.highest:.2f})")
    facts |= {name: getattr(options, name) for name in ("streams", "tokens", "threads", "rounds")}
    ratios = dataclasses.asdict(ratio)
    record("streams", baseline="llama-server", model=options.model.name, ratio=ratios, **facts)


def commands(options: argparse.Namespace) -> dict[str, tuple[list[str], int]]:
    """How each server is started, and its port."""
    n, model, threads = options.streams, str(options.model), str(options.threads)
    ours, theirs = free_port(), free_port()
    own = [str(Path(sys.executable).with_name("aboard")), "serve", model, "--alias", "*"]
    own += ["--port", str(ours), "--threads", threads, "--max-sequences", str(n)]
    peer = [str(options.llama_server), "-m", model, "-t", threads, "-np", str(n)]
    peer += ["--port", str(theirs), "-c", str(n * 1024)]
    return {"aboard": (own, ours), "llama.cpp": (peer, theirs)}


def measured(options: argparse.Namespace) -> dict[str, list[Burst]]:
    """The rounds of each server, without the first."""
    n, text = options.streams, options.text.read_text()
    ends = aboard.load(options.model).tokenizer.stop_ids
    bursts: dict[str, list[Burst]] = {"aboard": [], "llama.cpp": []}
    with ExitStack() as held:
        ports = {
            name: held.enter_context(served(command, port))
            for name, (command, port) in commands(options).items()
        }
        for turn in range(options.rounds + 1):
            bodies: list[dict[str, object]] = [
                {
                    "model": "any",
                    "prompt": text[(turn * n + i) * PIECE :][:PIECE],
                    "max_tokens": options.tokens,
                    "temperature": 0,
                    "stream": True,
                    "logit_bias": {str(token): -100 for token in ends},
                }
                for i in range(n)
            ]
            for name in sorted(ports, reverse=turn % 2 == 1):
                found = asyncio.run(burst(ports[name], bodies, options.tokens))
                if turn:
                    bursts[name].append(found)
    return bursts


if __name__ == "__main__":
    main()
