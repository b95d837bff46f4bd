"""What a server lets its clients take, and for how long."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from aboard.engine.arguments import checked_integer
from aboard.engine.scheduler import MOST_REQUESTS
from aboard.engine.scheduler_batch import MAX_SEQUENCES
from aboard.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a server; whoever goes beyond one gets an error that names it.

    Raises
    ------
    UsageError
        Seconds are endless or none, or more answers are asked for than can be counted.

    Attributes
    ----------
    max_sequences : int
        Answers of one model that are computed together.
    max_waiting : int
        Answers of one model that wait for their turn; further ones are refused with 429.
    max_body_bytes : int
        Of one request.
    max_bodies_bytes : int
        Of all requests that are being read or answered.
    max_unread_bytes : int
        Of answers that wait for their clients to read them, together; beyond it the connection that
        has kept the server waiting the longest is ended.
    max_kept_responses : int
        Of `/v1/responses`, kept for those who have one key.
    max_kept_bytes : int
        Of those of one key together.
    kept_s : float
        After which one that nobody asks for is forgotten.
    body_timeout_s : float
        In which a request's body must have come.
    headers_timeout_s : float
        In which a new connection must have sent its headers.
    send_timeout_s : float
        In which a client must read what was sent of an answer, or a KiB of it a second.
    answer_timeout_s : float
        From when a request was taken on to its last token.
    step_s : float
        After which a client that is gone has made room, about; prompts come in slices for that.
    drain_s : float
        For which answers under way may go on once the server is told to end.
    """

    max_sequences: int = MAX_SEQUENCES
    max_waiting: int = 128
    max_body_bytes: int = 8 << 20
    max_bodies_bytes: int = 64 << 20
    max_unread_bytes: int = 256 << 20
    max_kept_responses: int = 1024
    max_kept_bytes: int = 32 << 20
    kept_s: float = 86_400.0
    body_timeout_s: float = 30.0
    headers_timeout_s: float = 15.0
    send_timeout_s: float = 60.0
    answer_timeout_s: float = 600.0
    step_s: float = 0.1
    drain_s: float = 30.0

    def __post_init__(self) -> None:
        checked_integer("max_sequences", self.max_sequences, 1, MOST_REQUESTS)
        checked_integer("max_waiting", self.max_waiting, 0, MOST_REQUESTS)
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name.endswith("_s") and not 0 <= value < math.inf:
                raise UsageError(f"{each.name} is {value}, expected finite seconds")
