"""What a device leaves for the weights of a model; and which contexts weights would leave room for.

`aboard plan` asks how much memory a model takes with weights of so many bytes; this asks it the
other way round.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from aboard.amounts import megabytes
from aboard.artifact.importing import Survey, survey
from aboard.engine.arguments import KV_FORMATS, checked_choice, checked_integer
from aboard.engine.device import MAX_THREADS
from aboard.engine.footprint import HUGE_PAGE, Footprint, footprint
from aboard.errors import ContextOverflow, UsageError
from aboard.planning.device import Device

USUAL_CONTEXT = 4096
MOST_USERS = 1024
_OWN_ENTRIES_BYTES = 16 << 10
"""That a quantised file's header is longer: hashes of its calibration, and how it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """What is left for weights, and for what it was reckoned.

    Attributes
    ----------
    device : Device
        Where the model is to run.
    name : str
        What messages call it.
    context, users : int
        Tokens that each user's context holds in the end, and how many users there are at once.
    kv : str
        How keys and values are stored: "f16" or "int8".
    found : Survey
        The checkpoint, by its headers.
    """

    device: Device
    name: str
    context: int
    users: int
    kv: str
    found: Survey

    @property
    def beside_bytes(self) -> int:
        """Bytes that the process takes beside its weights."""
        return self._needed(0)

    @property
    def weights_bytes(self) -> int:
        """Bytes of packed weights, `WeightBytes.memory`, that fit; 0 where none do."""
        left = self.device.room_bytes - self.beside_bytes
        return max(left, 0) // HUGE_PAGE * HUGE_PAGE

    @property
    def said(self) -> str:
        """How it was derived, in words."""
        return (
            f"{self.name} has {megabytes(self.device.room_bytes)} for the model; {self.asked} and "
            f"the program take {megabytes(self.beside_bytes)}, which leaves "
            f"{megabytes(self.weights_bytes)} for weights"
        )

    @property
    def asked(self) -> str:
        """For what, in words."""
        people = f"{self.users} contexts" if self.users > 1 else "a context"
        return f"{people} of {self.context:,} tokens with keys and values in {self.kv}"

    @property
    def words(self) -> list[str]:
        """The options of a command that ask for it."""
        return fit_words(
            self.name, self.context, self.users, self.kv, self.found.model.context_length
        )

    def require(self, smallest_bytes: int) -> None:
        """Refuse where even weights of so many bytes don't fit, and say what would.

        Parameters
        ----------
        smallest_bytes : int
            Of the packed weights of the smallest file there can be.

        Raises
        ------
        UsageError
            They don't fit.
        """
        if smallest_bytes <= self.weights_bytes:
            return
        needed = self._needed(smallest_bytes)
        lacks, weights = needed - self.device.room_bytes, needed - self.beside_bytes
        raise UsageError(
            f"no file fits {self.name}: it has {megabytes(self.device.room_bytes)} for the model, "
            f"of which {self.asked} and the program take {megabytes(self.beside_bytes)}, and the "
            f"weights of the smallest file that is possible {megabytes(weights)}: "
            f"{megabytes(lacks)} lack",
            hint=self._possible(smallest_bytes),
        )

    def _possible(self, smallest_bytes: int) -> str:
        ways = []
        for users in dict.fromkeys((self.users, 1)):
            for kv in dict.fromkeys((self.kv, "int8")):
                other = replace(self, users=users, kv=kv)
                longest = other._longest_context(smallest_bytes)
                if longest:
                    words = [f"--context {longest}"]
                    words += [] if users == self.users else [f"--users {users}"]
                    words += [] if kv == self.kv else [f"--kv {kv}"]
                    ways.append(" ".join(words))
        if ways:
            return f"Possible is {', or '.join(ways)}."
        least = replace(self, context=1, users=1, kv="int8")._needed(smallest_bytes)
        return f"This model takes {megabytes(least)} at least: take a smaller one."

    def _longest_context(self, weights_bytes: int) -> int:
        """The longest context beside such weights, up to what was asked for; 0 where none is."""
        fits, too_long = 0, self.context + 1
        while too_long - fits > 1:
            context = (fits + too_long) // 2
            if replace(self, context=context)._needed(weights_bytes) <= self.device.room_bytes:
                fits = context
            else:
                too_long = context
        return fits

    def _needed(self, weights_bytes: int) -> int:
        memory = footprint_on(
            self.found, weights_bytes, self.device, self.kv, self.context, self.users
        )
        return memory.peak + _OWN_ENTRIES_BYTES


def room_for_weights(
    source: str | Path,
    device: Device,
    *,
    context: int | None = None,
    users: int = 1,
    kv: str = "f16",
    name: str = "the device",
) -> Room:
    """What `device` leaves for the weights of the model at `source`; headers alone are read.

    Parameters
    ----------
    source, device, context, users
        As for `aboard.planning.plan`.
    kv : str
        How keys and values are to be stored: "f16" or "int8".
    name : str
        What messages call the device.

    Raises
    ------
    AboardError
        As for `plan`.
    """
    checked_integer("users", users, 1, MOST_USERS)
    checked_choice("kv", kv, KV_FORMATS)
    found = survey(source)
    context = checked_context("context", context, USUAL_CONTEXT, found.model.context_length)
    return Room(device=device, name=name, context=context, users=users, kv=kv, found=found)


def fit_words(name: str, context: int, users: int, kv: str, longest: int) -> list[str]:
    """The options of a command that ask for what fits a device, of a model of `longest` tokens."""
    words = ["--fit", name]
    words += [] if context == min(USUAL_CONTEXT, longest) else ["--context", str(context)]
    words += [] if users == 1 else ["--users", str(users)]
    return words + ([] if kv == "f16" else ["--kv", kv])


def footprint_on(
    found: Survey, weights: int, device: Device, kv: str, context: int, users: int
) -> Footprint:
    """What a process takes on `device` with `weights` bytes of packed weights; see `footprint`."""
    tokenizer = found.metadata.get("tokenizer.ggml.model")
    return footprint(
        found.model,
        weights,
        header_bytes=found.header_bytes,
        tokenizer=tokenizer if isinstance(tokenizer, str) else None,
        context=context,
        users=users,
        kv=kv,
        threads=min(device.usable_cores, MAX_THREADS),
    )


def checked_context(name: str, value: int | None, usual: int, longest: int) -> int:
    """`value`, or where it is None the usual one; at most `longest`.

    Raises
    ------
    UsageError, ContextOverflow
        It is below 1, or too long.
    """
    if value is None:
        return min(usual, longest)
    checked_integer(name, value, 1, 1 << 31)
    if value > longest:
        what = "the model's context" if name == "context" else "the context"
        raise ContextOverflow(
            f"a {name} of {value} tokens, {what} holds {longest}",
            hint=f"Ask for at most {longest}: --{name} {longest}.",
        )
    return value
