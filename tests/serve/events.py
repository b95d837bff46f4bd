"""Streams of named events."""

import json
import threading
from typing import Any

from serve.running import Running


def events_of(
    server: Running, path: str, body: dict[str, Any], *, begun: threading.Event | None = None
) -> list[dict[str, Any]]:
    """The events, whose names are their types; `begun` is set with the first."""
    events = []
    with (
        server.http() as http,
        http.stream("POST", path, json=body | {"stream": True}) as answer,
    ):
        assert answer.status_code == 200
        name = ""
        for line in answer.iter_lines():
            if begun is not None:
                begun.set()
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: {"):
                events.append(json.loads(line.removeprefix("data: ")))
                assert events[-1]["type"] == name
            else:
                assert line in ("", "data: [DONE]")
    return events
