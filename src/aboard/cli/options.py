"""The options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from aboard.engine.sampling import Sampling

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="A GGUF file, or a name of the catalogue that was pulled."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
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
