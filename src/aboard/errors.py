"""Every error Aboard raises on purpose.

AboardError
├── UsageError             a call, an option or a value that can't be served
│   └── GrammarError       a schema, pattern or grammar that answers can't be held to
│       └── UnsupportedSchema  of a JSON schema, a keyword that Aboard can't enforce
├── CheckpointError        someone else's file can't be understood
│   ├── MalformedFile      the bytes break the rules of their format
│   ├── UnsupportedFile    sound, but of a kind Aboard doesn't read
│   └── CorruptTensor      NaN or infinity where a scale or weight should be
├── ConfigError            hyper-parameters that are unknown or contradict each other
├── TokenizerError         the tokenizer's metadata is unknown or contradictory
├── TemplateError          a chat template failed, or ran past its limits
├── ContextOverflow        more tokens than the context holds
├── Overloaded             more answers are asked for at once than may wait
├── NotEnoughMemory        the system refuses the memory that weights or a context need
├── NumericalError         a model computes NaN or infinity instead of logits
├── SessionMismatch        saved state that belongs to other weights or numerics
├── AttestationMismatch    a replay differs from the attestation it is checked against
├── ArtifactError          what ships can't be written as it should be
├── PeerError              another engine, measured beside ours, fails
├── StoreError             a model can't be brought, found or verified
└── StorageFull            a disk or a quota has no room for what is to be kept

A message says what was found, what was expected and where; `hint` says what to do next.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class AboardError(Exception):
    """Base of all errors that Aboard raises on purpose.

    Parameters
    ----------
    message : str
        What was found, what was expected, where.
    hint : str, optional
        What to do next, one sentence.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class UsageError(AboardError):
    """A call, an option or a value that can't be served."""


class GrammarError(UsageError):
    """A schema, a pattern or a grammar is wrong, costs too much, or can't be enforced."""


class UnsupportedSchema(GrammarError):
    """A JSON schema says what Aboard can't enforce exactly, so it enforces nothing.

    Parameters
    ----------
    message : str
        As for `AboardError`.
    keyword : str
        The keyword at fault.
    pointer : str
        The JSON pointer of its value in the schema, "" for the whole of it.
    hint : str, optional
        As for `AboardError`.
    """

    def __init__(
        self, message: str, *, keyword: str, pointer: str, hint: str | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.keyword = keyword
        self.pointer = pointer


class CheckpointError(AboardError):
    """Someone else's file can't be understood."""


class MalformedFile(CheckpointError):
    """The bytes of a file break the rules of its format."""


class UnsupportedFile(CheckpointError):
    """The file is sound but of a kind that Aboard doesn't read."""


class CorruptTensor(CheckpointError):
    """A tensor holds NaN or infinity where a scale or a weight should be."""


class ConfigError(AboardError):
    """Hyper-parameters are unknown or contradict each other."""


class TokenizerError(AboardError):
    """The tokenizer's metadata is unknown or contradictory."""


class TemplateError(AboardError):
    """A chat template failed, raised an exception of its own or ran past its limits."""


class ContextOverflow(AboardError):
    """More tokens were asked for than the context holds."""


class Overloaded(AboardError):
    """More answers are asked for at once than may wait for their turn."""


class NotEnoughMemory(AboardError):
    """The system refuses the memory that weights or a context need."""


class NumericalError(AboardError):
    """A model computes NaN or infinity where logits should be."""


class SessionMismatch(AboardError):
    """Saved session state belongs to other weights or to another numerics version."""


class AttestationMismatch(AboardError):
    """A replayed attestation differs from the one it is checked against."""


class ArtifactError(AboardError):
    """What ships can't be written as it should be: no room, no such type, a place of another."""


class PeerError(AboardError):
    """Another engine, which a benchmark measures beside ours, doesn't start, fails or dies."""


class StoreError(AboardError):
    """A model can't be brought, found or verified."""


class StorageFull(AboardError):
    """There is no room for what is to be kept: the disk is full, or a quota is used up."""


_ANOTHER = "Get the file again, or another version of it: Aboard doesn't run what it must guess at."


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Meanwhile, what is wrong with a file is told with `path` and a hint, if it doesn't have them.

    Where a model is described by its hyper-parameters alone, nobody knows the file's name.
    """
    try:
        yield
    except (CheckpointError, ConfigError, TokenizerError, TemplateError) as error:
        message = str(error)
        named = message if str(path) in message else f"{path}: {message}"
        raise type(error)(named, hint=error.hint or _ANOTHER) from None
