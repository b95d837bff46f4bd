"""One question, many checks: is this model sound?

A check that can't be tried, as another failed before it, is told as skipped: a report always has
all of `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aboard.checkpoint.gguf import GgufFile
from aboard.engine import Model
from aboard.engine.arguments import ACTIVATIONS, checked_choice
from aboard.engine.device import checked_threads
from aboard.errors import AboardError, CheckpointError, NotEnoughMemory, UsageError
from aboard.evaluate.report import Finding, Outcome, Report, finding
from aboard.evaluate.soundness_template import TEMPLATE, check_template
from aboard.evaluate.soundness_text import LOADING, TEXT, check_loading, check_text
from aboard.evaluate.soundness_tokenizer import TOKENIZER, check_tokenizer
from aboard.evaluate.soundness_weights import FILE, WEIGHTS, check_file, check_weights
from aboard.evaluate.subject import Subject
from aboard.progress import Progress, silent


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Checks that are made together, and those whose failure makes them pointless."""

    names: tuple[str, ...]
    run: Callable[[Subject], Iterator[Finding]]
    needs: tuple[str, ...] = ()


_NEEDED_TO_LOAD = (*FILE, "architecture", "tensors", "finite-weights", "tokenizer")
_GROUPS = (
    _Group(names=FILE, run=check_file),
    _Group(names=WEIGHTS, run=check_weights, needs=FILE),
    _Group(names=TOKENIZER, run=check_tokenizer, needs=FILE),
    _Group(names=TEMPLATE, run=check_template, needs=FILE),
    _Group(names=LOADING, run=check_loading, needs=_NEEDED_TO_LOAD),
    _Group(names=TEXT, run=check_text, needs=(*_NEEDED_TO_LOAD, *LOADING)),
)

CHECKS: tuple[str, ...] = tuple(name for group in _GROUPS for name in group.names)
"""The names of all checks, in their order."""


def check(
    model: Model | str | Path,
    *,
    threads: int | None = None,
    activations: str | None = None,
    told: Callable[[Finding], None] | None = None,
    progress: Progress = silent,
) -> Report:
    """Whether a model is sound, check by check.

    Parameters
    ----------
    model : Model, str or Path
        A GGUF file, or a model that was loaded from one; the file is read in either case.
    threads : int, optional
        For reading and computing; by default one for each usable core, or those of the model.
    activations : str, optional
        What matrices are multiplied with, as for `aboard.load`; by default int8, or that of the
        model. With "float32" nothing but the weights' own rounding is in the figures.
    told : callable, optional
        Gets each finding as it comes, in the same order.
    progress : callable
        Called as ``(stage, done_bytes, total_bytes)``: "examine" while weights are read, "load"
        and, in bytes of text, "text".

    Returns
    -------
    Report
        A finding for each of `CHECKS`, in that order.

    Raises
    ------
    CheckpointError
        The file can't be read at all.
    NotEnoughMemory
        The system doesn't grant the memory that the model needs.
    UsageError
        `threads` is out of range, `activations` is unknown, or not that of the model.
    """
    loaded = model if isinstance(model, Model) else None
    own = loaded.activations if loaded else "int8"
    chosen = checked_choice("activations", activations or own, ACTIVATIONS)
    if loaded and chosen != own:
        raise UsageError(
            f"activations is {chosen!r}, but the model was loaded with {own!r}",
            hint="Give its file instead.",
        )
    path = loaded.path if loaded else Path(str(model))
    n_threads = loaded.threads if loaded and threads is None else checked_threads(threads)
    subject = Subject(
        path=path, threads=n_threads, activations=chosen, progress=progress, model=loaded
    )
    findings: list[Finding] = []
    try:
        for each in _findings(subject):
            findings.append(each)
            if told is not None:
                told(each)
    finally:
        if isinstance(subject.file, GgufFile):
            subject.file.close()
    return Report(path=str(path), findings=tuple(findings))


def _findings(subject: Subject) -> Iterator[Finding]:
    failed: list[str] = []
    for group in _GROUPS:
        found: dict[str, Finding] = {}
        blocked = [name for name in group.needs if name in failed]
        if not blocked and not (group.names == TEXT and subject.tokenizer is None):
            found = _run(group, subject)
        failed += [each.name for each in found.values() if each.outcome == Outcome.FAIL]
        because = blocked or [each.name for each in found.values() if each.outcome != Outcome.PASS]
        for name in group.names:
            yield found.get(name) or _skipped(name, because)


def _run(group: _Group, subject: Subject) -> dict[str, Finding]:
    """What a group finds, by name; an error that no check expects fails the one that met it."""
    found: dict[str, Finding] = {}
    try:
        for each in group.run(subject):
            found[each.name] = each
    except AboardError as error:
        if isinstance(error, NotEnoughMemory) or type(error) is CheckpointError:
            raise  # says nothing about the model
        name = next((name for name in group.names if name not in found), group.names[-1])
        found[name] = finding(name, "no error", "", failures=[str(error)])
    return found


def _skipped(name: str, because: list[str]) -> Finding:
    reason = f"see {because[0]}" if because else "what it needs isn't there"
    return Finding(name=name, outcome=Outcome.SKIP, found=reason)
