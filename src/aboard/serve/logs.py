"""The server's log: a JSON object on each line of stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback


def log_to_stderr() -> None:
    """Send what this server, uvicorn and the event loop log to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    levels = {
        "aboard.serve": logging.INFO,
        "uvicorn.error": logging.WARNING,
        "asyncio": logging.WARNING,
    }
    for name, level in levels.items():
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


class JsonLines(logging.Formatter):
    """A record as JSON.

    Of an exception its type and the places it came through are told, never its words: they may
    quote a prompt. For the same reason a message is its first line: in others the event loop shows
    what it was doing.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told: dict[str, object] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage().partition("\n")[0].rstrip(),
        }
        facts = getattr(record, "facts", None)
        if isinstance(facts, dict):
            told |= facts
        if record.exc_info and record.exc_info[0] is not None:
            told["error"] = record.exc_info[0].__name__
            told["places"] = [
                f"{frame.filename.rpartition('/')[2]}:{frame.lineno} {frame.name}"
                for frame in traceback.extract_tb(record.exc_info[2])
            ]
        return json.dumps(told, ensure_ascii=False, default=str)
