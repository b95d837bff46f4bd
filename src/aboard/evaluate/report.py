"""What a check found: one finding a question, all of them a report."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum


class Outcome(StrEnum):
    """How a check ended."""

    PASS = "pass"
    WARN = "warn"  # odd, though the model may be as its makers meant it
    FAIL = "fail"  # answers are wrong or don't end, or the model can't be run
    SKIP = "skip"  # doesn't apply, or needs what failed before


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question.

    Attributes
    ----------
    name : str
        Of the check; it never changes, so that programs may look for it.
    outcome : Outcome
        How it ended.
    found : str
        In words, one line.
    expected : str
        What a sound model has; empty where the check was skipped.
    figures : mapping of str to float
        What was measured.
    """

    name: str
    outcome: Outcome
    found: str
    expected: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All findings about one model, in the order of the checks."""

    path: str
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether no check failed; warnings don't count."""
        return not self.named(Outcome.FAIL)

    def named(self, outcome: Outcome) -> tuple[str, ...]:
        """The names of the checks that ended like this."""
        return tuple(each.name for each in self.findings if each.outcome == outcome)

    def passes(self, *, strict: bool = False) -> bool:
        """Whether it is sound; with `strict`, without warnings as well."""
        return self.sound and not (strict and self.named(Outcome.WARN))

    def as_dict(self) -> dict[str, object]:
        """The report as values that JSON knows; `outcome` is the worst of all."""
        seen = {each.outcome for each in self.findings}
        worst = next((each for each in (Outcome.FAIL, Outcome.WARN) if each in seen), Outcome.PASS)
        return {
            "path": self.path,
            "sound": self.sound,
            "outcome": worst.value,
            "findings": [asdict(each) for each in self.findings],
        }

    def __getitem__(self, name: str) -> Finding:
        return {each.name: each for each in self.findings}[name]


def listed(problems: Iterable[str], n_shown: int = 3) -> str:
    """The first problems in one line, and how many there are beyond."""
    all_of_them = list(problems)
    more = len(all_of_them) - n_shown
    return "; ".join(all_of_them[:n_shown]) + (f"; and {more} more" if more > 0 else "")


def finding(
    name: str,
    expected: str,
    passed: str,
    *,
    failures: Iterable[str] = (),
    warnings: Iterable[str] = (),
    figures: Mapping[str, float] | None = None,
) -> Finding:
    """A finding that fails by its failures, warns by its warnings, and else says `passed`."""
    failures, warnings = list(failures), list(warnings)
    outcome = Outcome.FAIL if failures else Outcome.WARN if warnings else Outcome.PASS
    return Finding(
        name=name,
        outcome=outcome,
        found=" ".join((listed(dict.fromkeys([*failures, *warnings])) or passed).splitlines()),
        expected=expected,
        figures=figures or {},
    )
