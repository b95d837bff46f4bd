"""Batches as tests ask for them, and waiting for their ends."""

import json
from collections.abc import Iterable
from typing import Any

import openai

from waiting import until

ENDED = ("completed", "failed", "expired", "cancelled")
CHAT = "/v1/chat/completions"
Line = dict[str, Any]


def chat(text: str, **own: Any) -> dict[str, Any]:
    """The body of a request for a greedy answer of five tokens."""
    messages = [{"role": "user", "content": text}]
    return {"model": "tiny", "messages": messages, "max_tokens": 5, "temperature": 0} | own


def line(custom_id: str, body: dict[str, Any], url: str = CHAT) -> Line:
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}


def written(lines: Iterable[Line | bytes]) -> bytes:
    """A file of lines."""
    return b"".join(
        (each if isinstance(each, bytes) else json.dumps(each).encode()) + b"\n" for each in lines
    )


def begun(
    client: openai.OpenAI, lines: Iterable[Line | bytes], endpoint: str = CHAT, **options: Any
) -> Any:
    """A batch of lines."""
    file = client.files.create(file=("lines.jsonl", written(lines)), purpose="batch")
    return client.batches.create(
        input_file_id=file.id, endpoint=endpoint, completion_window="24h", **options
    )


def ended(client: openai.OpenAI, id: str) -> Any:
    """A batch, once it has ended."""
    until(lambda: client.batches.retrieve(id).status in ENDED)
    return client.batches.retrieve(id)


def results(client: openai.OpenAI, file_id: str | None) -> list[Line]:
    """The lines of a file of answers; none where there is no file."""
    if file_id is None:
        return []
    return [json.loads(each) for each in client.files.content(file_id).text.split("\n") if each]


def strict(body: dict[str, Any]) -> dict[str, Any]:
    """An answer without what is another each time: its id, and when it was made."""
    return {name: value for name, value in body.items() if name not in ("id", "created")}
