"""The options that several commands share, each written once."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from aboard.constrain import Grammar
    from aboard.engine import Model as LoadedModel
    from aboard.engine.sampling import Sampling
    from aboard.engine.speculation import Drafter
    from aboard.planning import Room

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A GGUF file, or a name of the catalogue that was pulled."
    ),
]
Json = Annotated[bool, typer.Option("--json", allow_from_autoenv=False, help="Print JSON.")]
Threads = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Threads to compute with; the answer is the same for any number.",
        show_default="one per core",
    ),
]
Context = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Tokens the context holds.", show_default="the model's own"
    ),
]
Kv = Annotated[
    str,
    typer.Option(
        metavar="FORMAT",
        help="How keys and values are stored: f16, or int8, of half the size.",
    ),
]
MaxTokens = Annotated[
    int, typer.Option(metavar="N", min=1, help="Stop after this many tokens of answer.")
]
Temperature = Annotated[
    float,
    typer.Option(metavar="X", min=0.0, help="0 takes the likeliest token; higher varies more."),
]
TopK = Annotated[
    int, typer.Option(metavar="N", min=0, help="Draw from this many likeliest tokens; 0: from all.")
]
TopP = Annotated[
    float,
    typer.Option(
        metavar="X",
        min=0.0,
        max=1.0,
        help="Draw from the likeliest tokens of this total probability.",
    ),
]
MinP = Annotated[
    float,
    typer.Option(
        metavar="X",
        min=0.0,
        max=1.0,
        help="Drop tokens below this fraction of the likeliest one's probability.",
    ),
]
RepetitionPenalty = Annotated[
    float, typer.Option(metavar="X", help="Above 1, make tokens that occurred less likely.")
]
PresencePenalty = Annotated[
    float, typer.Option(metavar="X", help="Subtract this once from tokens that were generated.")
]
FrequencyPenalty = Annotated[
    float, typer.Option(metavar="X", help="Subtract this for each time a token was generated.")
]
Seed = Annotated[int, typer.Option(metavar="N", min=0, help="Same seed, same answer.")]
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="End the answer before this text; may be repeated."),
]
System = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Instructions that precede the conversation.")
]
Date = Annotated[
    datetime.datetime | None,
    typer.Option(
        metavar="YYYY-MM-DD",
        formats=["%Y-%m-%d"],
        help="The day that the chat template tells the model, where it tells one.",
        show_default="today",
    ),
]
Speculate = Annotated[
    Literal["off", "prompt"],
    typer.Option(
        help="prompt: guess that text which occurred before goes on alike, and verify several "
        "tokens at once. The answer is the same.",
    ),
]
Draft = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="A smaller model with the same vocabulary that guesses tokens. The answer is the "
        "same.",
    ),
]
State = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Begin with the state that `aboard state` saved; the prompt must begin with its text.",
    ),
]
JsonSchema = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Answer in JSON that a JSON Schema accepts, by construction."
    ),
]
Regex = Annotated[
    str | None,
    typer.Option(metavar="PATTERN", help="Answer with a text that a regular expression matches."),
]
GrammarFile = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Answer with a text of a grammar, in llguidance's Lark."),
]
Window = Annotated[
    int | None,
    typer.Option(metavar="N", min=2, help="Tokens of a sequence.", show_default="512"),
]
Sequences = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Only the first N sequences of the text.", show_default="all"
    ),
]
CalibrationTokens = Annotated[
    int, typer.Option(metavar="N", min=1024, help="Tokens to calibrate on, at most.")
]
UserContext = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Tokens that each user's context holds.",
        show_default="4096, or the model's own",
    ),
]
Users = Annotated[
    int, typer.Option(metavar="N", min=1, help="Sequences that are decoded together.")
]
FitDevice = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE",
        help="As exact as fits the memory of a device, up to 8 bits: a file of `aboard device -o "
        "FILE`, this-machine, or a size such as 8GB. Beside it --context, --users and --kv.",
    ),
]
FitKv = Annotated[
    str,
    typer.Option(
        metavar="FORMAT",
        help="Beside --fit: how keys and values will be stored, f16, or int8, of half the size.",
    ),
]
SelfWritten = Annotated[
    bool | None,
    typer.Option(
        "--self-written/--no-self-written",
        help="Whether the model writes the tokens to calibrate on that texts lack.",
        show_default="up to 2 billion weights",
    ),
]
CardFile = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a report card as well: one HTML page with plots, that loads nothing.",
    ),
]


def room(
    source: str | Path, fit: str | None, context: int | None, users: int, kv: str
) -> Room | None:
    """What the device of --fit leaves for weights, which is told on stderr; None without it.

    Raises
    ------
    UsageError
        What only says something of a device is given without one.
    """
    from aboard.cli.output import note
    from aboard.errors import UsageError
    from aboard.planning import device_named, room_for_weights

    if fit is None:
        if context is not None or users != 1 or kv != "f16":
            raise UsageError(
                "--context, --users and --kv say for what a device is to have room",
                hint="Name the device: --fit device.json, --fit this-machine or --fit 8GB.",
            )
        return None
    device = device_named(fit, lambda line: note(f"aboard: {line}"))
    found = room_for_weights(source, device, context=context, users=users, kv=kv, name=fit)
    note(f"aboard: {found.said}")
    return found


def drafter(speculate: str, draft: str | None, threads: int | None) -> Drafter | None:
    """What guesses tokens; None for nothing.

    Raises
    ------
    UsageError
        Both options are used.
    """
    import aboard
    from aboard.errors import UsageError
    from aboard.store import resolve

    if draft is None:
        return aboard.PromptLookup() if speculate == "prompt" else None
    if speculate != "off":
        raise UsageError("--speculate and --draft exclude each other")
    return aboard.DraftModel(aboard.load(resolve(draft), threads=threads))


def grammar(json_schema: Path | None, regex: str | None, lark: Path | None) -> Grammar | None:
    """What the answer must be; None for anything.

    Raises
    ------
    UsageError
        More than one option is used, a file can't be read, or says what can't be enforced.
    """
    from aboard.cli.prompt import checked_text, read_file
    from aboard.constrain import Grammar
    from aboard.errors import UsageError

    if sum(option is not None for option in (json_schema, regex, lark)) > 1:
        raise UsageError("--json-schema, --regex and --grammar exclude each other")
    if json_schema is not None:
        return Grammar.json_schema(read_file(json_schema))
    if regex is not None:
        return Grammar.regex(checked_text(regex, "--regex"))
    return None if lark is None else Grammar.lark(read_file(lark))


def day(date: datetime.datetime | None) -> datetime.date:
    """The day that --date gives, or today."""
    return datetime.date.today() if date is None else date.date()


def told_day(model: LoadedModel, now: datetime.date) -> str | None:
    """The day for `--json`: None where nothing that the template writes depends on it."""
    template = model.chat_template
    return now.isoformat() if template is not None and template.may_tell_date else None


def sampling(given: Mapping[str, Any]) -> Sampling:
    """The sampling that a command's options, its `Context.params`, ask for.

    Typer reads each option from the command's own signature, so they are named there; they have
    the names of the fields of `Sampling`.

    Raises
    ------
    UsageError
        A value is out of its range.
    """
    from aboard.engine.sampling import Sampling

    names = [field.name for field in fields(Sampling) if field.name in given]
    return Sampling(**{name: given[name] for name in names})
