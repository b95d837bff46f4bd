"""Does a server stay the same while it answers for hours: its memory, and its answers?

    python bench/soak.py MODEL [--hours 2] [--clients 4] [--threads 2] [--record]

Baseline: the server's own first answers. So many clients ask again and again: conversations, whole
and streamed, under a schema, with a tool, responses, messages, scored prompts, requests that are
wrong, and streams that are left after their first event; each with its seed. Every answer is
compared with the first to the same request, but for ids, times and what was cached. Resident memory
is looked at every 10 seconds; the slope is the least-squares line through the second half of the
time, when caches are full. Exits with 1 where an answer has changed.
"""

import argparse
import hashlib
import http.client
import itertools
import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from engines import record
from serving import Program, serving

from aboard.engine.device import usable_cores

LOOK_S = 10.0
CHAT = "/v1/chat/completions"
OWN = {"id", "call_id", "item_id", "created", "created_at", "completed_at", "usage", "response_id"}
"""What differs between two answers to the same request."""
SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 12}, "n": {"type": "integer"}},
    "required": ["name", "n"],
}
Ask = tuple[str, dict[str, object], bool]
"""Path, body, and whether its client leaves after the first event."""


def asks() -> list[Ask]:
    """All requests."""
    form = {"type": "json_schema", "json_schema": {"name": "found", "schema": SCHEMA}}
    tool = {"type": "function", "function": {"name": "look_up", "parameters": SCHEMA}}
    found: list[Ask] = []
    for seed in range(5):
        said = [{"role": "user", "content": f"Tell me {seed + 2} things about the sea."}]
        drawn = {"model": "any", "seed": seed}
        chat: dict[str, object] = drawn | {"messages": said, "max_tokens": 24}
        called = {"tools": [tool], "tool_choice": "required"}
        response = {"input": f"Say {seed}.", "max_output_tokens": 24}
        scored = {"prompt": f"Number {seed} is", "max_tokens": 4, "echo": True, "logprobs": 2}
        found += [
            (CHAT, chat, False),
            (CHAT, chat | {"stream": True}, False),
            (CHAT, chat | {"stream": True, "max_tokens": 400}, True),
            (CHAT, chat | {"response_format": form}, False),
            (CHAT, chat | called, False),
            (CHAT, chat | {"temperature": -1}, False),
            ("/v1/responses", drawn | response, False),
            ("/v1/messages", chat, False),
            ("/v1/completions", drawn | scored, False),
        ]
    return found


def answer(program: Program, ask: Ask) -> str:
    """The hash of what is answered; "" where the client leaves."""
    path, body, leaves = ask
    connection = program.connection()
    headers = {"content-type": "application/json", "connection": "close"}
    connection.request("POST", path, json.dumps(body), headers)
    response = connection.getresponse()
    try:
        if leaves:
            response.readline()
            return ""
        return hashed(response, streams=bool(body.get("stream")))
    finally:
        response.close()
        connection.close()


def hashed(response: http.client.HTTPResponse, *, streams: bool) -> str:
    """The hash of status and content."""
    content = response.read()
    told: list[Any] = [response.status]
    if streams:
        # How the text is cut into events depends on when the client reads.
        events = [json.loads(each[6:]) for each in content.splitlines() if each[:7] == b"data: {"]
        choices = [choice for event in events for choice in event["choices"]]
        told.append("".join(choice["delta"].get("content") or "" for choice in choices))
        told.append(choices[-1]["finish_reason"])
    else:
        told.append(without(json.loads(content)))
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def without(value: Any) -> Any:
    """JSON without what differs between two answers."""
    if isinstance(value, dict):
        return {name: without(each) for name, each in value.items() if name not in OWN}
    return [without(each) for each in value] if isinstance(value, list) else value


class Clients:
    """Threads that ask until `stop` is set."""

    def __init__(self, program: Program, ask: Callable[[Program, Ask], str], n: int) -> None:
        self._program, self._ask = program, ask
        self._turns = itertools.count()
        self._asks = asks()
        self._first: dict[int, str] = {}
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self.n_answers = self.n_changed = 0
        self.errors: list[Exception] = []
        self.threads = [threading.Thread(target=self._work) for _ in range(n)]

    def _work(self) -> None:
        while not self.stop.is_set():
            number = next(self._turns) % len(self._asks)
            try:
                got = self._ask(self._program, self._asks[number])
            except Exception as error:
                self.errors.append(error)
                self.stop.set()
                return
            with self._lock:
                self.n_answers += 1
                self.n_changed += self._first.setdefault(number, got) != got


def main() -> None:
    """Asks, prints and records."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--hours", type=float, default=2.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--threads", type=int, default=usable_cores())
    parser.add_argument("--record", action="store_true")
    options = parser.parse_args()
    seen: list[tuple[float, int]] = []
    with serving(options.model, options.threads) as program:
        clients = Clients(program, answer, options.clients)
        began = time.monotonic()
        for thread in clients.threads:
            thread.start()
        while (elapsed := time.monotonic() - began) < options.hours * 3600:
            seen.append((elapsed / 3600, program.resident_bytes))
            if clients.stop.wait(LOOK_S):
                break
        clients.stop.set()
        for thread in clients.threads:
            thread.join()
    if clients.errors:
        raise SystemExit(f"bench: {clients.errors[0]!r}")
    half = np.array(seen[len(seen) // 2 :])
    slope = float(np.polyfit(half[:, 0], half[:, 1], 1)[0])
    facts = {
        "hours": round(elapsed / 3600, 3),
        "n_answers": clients.n_answers,
        "n_changed": clients.n_changed,
        "resident_bytes": [seen[0][1], int(half[0, 1]), seen[-1][1]],
        "slope_bytes_per_h": round(slope),
    }
    first, middle, last = (each / 1e6 for each in (seen[0][1], half[0, 1], seen[-1][1]))
    print(
        f"{clients.n_answers} answers in {elapsed / 3600:.2f} h, {clients.n_changed} changed; "
        f"{first:.1f} MB at first, {middle:.1f} MB half-way, {last:.1f} MB at the end: "
        f"{slope / 1e6:+.2f} MB/h"
    )
    if options.record:
        record("soak", model=options.model.name, threads=options.threads, **facts)
    if clients.n_changed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
