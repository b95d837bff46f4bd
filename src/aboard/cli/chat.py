"""`aboard chat`: a conversation in the terminal."""

from __future__ import annotations

from typing import Annotated

import typer

from aboard.cli import options


def chat(
    command: typer.Context,
    model: options.Model,
    max_tokens: options.MaxTokens = 1024,
    temperature: options.Temperature = 0.0,  # from here to the seed: read by options.sampling
    top_p: options.TopP = 1.0,
    top_k: options.TopK = 0,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    presence_penalty: options.PresencePenalty = 0.0,
    frequency_penalty: options.FrequencyPenalty = 0.0,
    seed: options.Seed = 0,
    stop: options.Stop = None,
    system: options.System = None,
    date: options.Date = None,
    state: options.State = None,
    speculate: options.Speculate = "off",
    draft: options.Draft = None,
    threads: options.Threads = None,
    context: options.Context = None,
    kv: options.Kv = "f16",
    history: Annotated[
        bool, typer.Option(help="Keep what is typed for the arrow keys of the next chat.")
    ] = True,
    as_json: options.Json = False,
) -> None:
    """Talk with MODEL, turn by turn; /help lists what else can be typed.

    Ctrl-C stops an answer, Ctrl-D leaves. Where stdin is not a terminal, each line of it is a
    turn.
    """
    import aboard
    from aboard.cli.conversation import Conversation
    from aboard.cli.dialogue import Dialogue
    from aboard.cli.keyboard import lines
    from aboard.cli.prompt import checked_text
    from aboard.store import resolve

    sampling = options.sampling(command.params)
    checked_text(system or "", "--system")
    stops = tuple(checked_text(each, "--stop") for each in stop or ())
    guesses = options.drafter(speculate, draft, threads)
    now = options.day(date)
    loaded = aboard.load(resolve(model), threads=threads, context=context, kv=kv)
    dialogue = Dialogue(
        Conversation(loaded, system, state=state, now=now),
        context_length=loaded.context_length,
        sampling=sampling,
        max_tokens=max_tokens,
        stop=stops,
        speculate=guesses,
        facts={"date": options.told_day(loaded, now)} if as_json else None,
    )
    dialogue.hold(lines(keep_history=history))
