"""What does serving cost over the bare engine, and what do clients that are slow or leave cost it?

    python bench/serving.py MODEL [--threads 2] [--rounds 5] [--drops 1000] [--open 1000]
                            [--slow 900] [--record]

Baseline: the bare engine, for the time of a token. One stream of 128 tokens over HTTP against the
same tokens of a session, in turns; the ratio is taken within a round. Then so many clients leave
after their first token, on a server of one place: the time from there until a request that takes
the place is sent (one that comes before is refused at once, and asks again). Then so many
connections are open at once, of which the slow ones send half of their headers, or half of a body:
the growth of the server's memory, and how long /health takes meanwhile. `--record` adds a line to
results.jsonl.
"""

import argparse
import dataclasses
import http.client
import json
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from engines import record

import aboard
from aboard.engine import Model, Sampling
from aboard.engine.benchmark import Spread
from aboard.engine.device import usable_cores

N_TOKENS, N_HEALTH, WINDOW_S = 128, 500, 8.0  # the window ends before any headers are given up
MAIN = "from aboard.cli import main; main()"
PATH = "/v1/completions"


@dataclasses.dataclass(frozen=True)
class Program:
    """`aboard serve` in a process of its own."""

    port: int
    process: subprocess.Popen[str]

    @property
    def resident_bytes(self) -> int:
        """What it holds of the machine's memory."""
        pages = Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]
        return int(pages) * resource.getpagesize()

    def connection(self) -> http.client.HTTPConnection:
        """One that isn't open yet."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)


@contextmanager
def serving(model: Path, threads: int, *options: str) -> Iterator[Program]:
    """A server of the model under its own name and any other."""
    command = [sys.executable, "-c", MAIN, "serve", str(model), "--alias", "*", "--port", "0"]
    process = subprocess.Popen(
        [*command, "--json", "--threads", str(threads), *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        yield Program(int(url.rpartition(":")[2]), process)
    finally:
        process.terminate()
        process.communicate()


def question(model: Model, n_tokens: int) -> dict[str, object]:
    """A request for a stream of exactly so many tokens."""
    bias = {str(token): -100 for token in model.tokenizer.stop_ids}
    fields = {"model": "any", "prompt": [1, 2, 3, 4], "stream": True, "temperature": 0}
    return {**fields, "max_tokens": n_tokens, "logit_bias": bias}


def asked(program: Program, body: dict[str, object]) -> http.client.HTTPResponse:
    """The response to a question, as soon as it begins."""
    connection = program.connection()
    headers = {"content-type": "application/json", "connection": "close"}
    connection.request("POST", PATH, json.dumps(body), headers)
    return connection.getresponse()


def own_token_s(model: Model) -> float:
    """Seconds a token of a session."""
    bias = dict.fromkeys(model.tokenizer.stop_ids, -100.0)
    options = {"sampling": Sampling(logit_bias=bias), "max_tokens": N_TOKENS, "logprobs": False}
    with model.session() as session:
        for _ in session.generate([1, 2, 3, 4], **options):
            pass
        return session.timing.decode_s / (N_TOKENS - 1)


def served_token_s(program: Program, body: dict[str, object]) -> float:
    """Seconds a token of a stream, from the first event to the last that has text."""
    with asked(program, body) as response:
        assert response.status == 200
        times = []
        for line in response:
            if line.startswith(b"data: {"):
                times.append(time.perf_counter())
    return (times[-1] - times[0]) / (N_TOKENS - 1)


def freed_s(program: Program, body: dict[str, object], n_drops: int) -> list[float]:
    """Of each client that leaves, how long its place stays taken."""
    taken = []
    response = asked(program, body)
    for _ in range(n_drops):
        assert response.status == 200
        response.readline()
        response.close()
        left = time.perf_counter()
        while True:
            sent = time.perf_counter()
            response = asked(program, body)
            if response.status == 200:
                break
            assert response.status == 429
            response.close()
        taken.append(sent - left)
    response.close()
    return taken


def crowded(program: Program, n_open: int, n_slow: int) -> tuple[int, list[float]]:
    """The growth of memory in bytes, and how long each /health takes, among open connections."""
    watch = program.connection()
    for _ in range(50):
        health_s(watch)
    before = most = program.resident_bytes
    body = b"POST /tokenize HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    halves = [b"GET /health HTTP/1.1\r\nHost: lo", body + b'Content-Length: 99\r\n\r\n{"content":']
    with ExitStack() as held:
        began = time.perf_counter()
        for number in range(n_open):
            each = held.enter_context(socket.create_connection(("127.0.0.1", program.port)))
            if number < n_slow:
                each.sendall(halves[number % 2])
            else:
                each.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        took = []
        while len(took) < N_HEALTH:
            took.append(health_s(watch))
            most = max(most, program.resident_bytes)
        elapsed = time.perf_counter() - began
    watch.close()
    if elapsed > WINDOW_S:
        raise SystemExit(f"took {elapsed:.0f} s: some of the slow were given up meanwhile")
    return most - before, took


def health_s(connection: http.client.HTTPConnection) -> float:
    """Seconds that one /health takes."""
    began = time.perf_counter()
    connection.request("GET", "/health")
    response = connection.getresponse()
    response.read()
    assert response.status == 200
    return time.perf_counter() - began


def quantiles_ms(seconds: list[float]) -> dict[str, float]:
    """The median, the 99th of a hundred and the longest, in milliseconds."""
    cut = statistics.quantiles(seconds, n=100)
    found = {"p50_ms": cut[49], "p99_ms": cut[98], "longest_ms": max(seconds)}
    return {name: round(value * 1000, 3) for name, value in found.items()}


def main() -> None:
    """Measures, prints and, where asked to, records one line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--drops", type=int, default=1000)
    parser.add_argument("--open", type=int, default=1000)
    parser.add_argument("--slow", type=int, default=900)
    parser.add_argument("--record", action="store_true", help="add a line to results.jsonl")
    options = parser.parse_args()
    most_files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
    model = aboard.load(options.model, threads=options.threads)
    assert isinstance(model, Model)
    ratios = []
    with serving(options.model, options.threads) as program:
        body = question(model, N_TOKENS)
        for turn in range(options.rounds + 1):
            bare, served = own_token_s(model), served_token_s(program, body)
            if turn:
                ratios.append(served / bare)
        grown, took = crowded(program, options.open, options.slow)
    with serving(options.model, options.threads, "--max-sequences", "1", "--max-waiting", "0") as p:
        freed = freed_s(p, question(model, model.context_length - 8), options.drops)
    cost, health, freed_ms = Spread.of(ratios), quantiles_ms(took), quantiles_ms(freed)
    print(
        f"a token over HTTP takes {cost.median:.3f} of the bare engine's time "
        f"({cost.lowest:.3f} to {cost.highest:.3f})"
    )
    print(
        f"{options.open} connections, {options.slow} slow: {grown / 2**20:.1f} MiB more; {health}"
    )
    print(f"{len(freed)} of {options.drops} clients that left freed their place: {freed_ms}")
    if options.record:
        record(
            "serving",
            model=options.model.name,
            threads=options.threads,
            baseline="the bare engine",
            token_ratio=dataclasses.asdict(cost),
            connections={"open": options.open, "slow": options.slow, "grown_bytes": grown},
            health=health,
            dropped={"n_freed": len(freed), "n_dropped": options.drops, **freed_ms},
        )


if __name__ == "__main__":
    main()
