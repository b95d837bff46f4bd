"""`aboard run`: one prompt, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aboard.cli import options

if TYPE_CHECKING:
    from aboard.engine import Session, Step


def run(
    command: typer.Context,
    model: options.Model,
    prompt: Annotated[
        str | None, typer.Argument(metavar="PROMPT", help="Read from stdin if absent or -.")
    ] = None,
    max_tokens: options.MaxTokens = 512,
    temperature: options.Temperature = 0.0,  # from here to the seed: read by options.sampling
    top_p: options.TopP = 1.0,
    top_k: options.TopK = 0,
    min_p: options.MinP = 0.0,
    repetition_penalty: options.RepetitionPenalty = 1.0,
    presence_penalty: options.PresencePenalty = 0.0,
    frequency_penalty: options.FrequencyPenalty = 0.0,
    seed: options.Seed = 0,
    stop: options.Stop = None,
    json_schema: options.JsonSchema = None,
    regex: options.Regex = None,
    grammar: options.GrammarFile = None,
    system: options.System = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="Continue the prompt as it stands: no chat template.")
    ] = False,
    date: options.Date = None,
    state: options.State = None,
    speculate: options.Speculate = "off",
    draft: options.Draft = None,
    threads: options.Threads = None,
    context: options.Context = None,
    kv: options.Kv = "f16",
    as_json: options.Json = False,
) -> None:
    """Answer PROMPT, printing the text as it comes."""
    import aboard
    from aboard.cli.answer import answer_facts, cut_note
    from aboard.cli.conversation import Conversation
    from aboard.cli.output import json_result, note, result, stream
    from aboard.cli.prompt import checked_text, read_prompt
    from aboard.errors import UsageError
    from aboard.store import resolve

    if raw and system is not None:
        raise UsageError("--system needs the chat template that --raw leaves out")
    if raw and date is not None:
        raise UsageError("--date needs the chat template that --raw leaves out")
    now = options.day(date)
    text = read_prompt(prompt)
    checked_text(system or "", "--system")
    stops = tuple(checked_text(each, "--stop") for each in stop or ())
    sampling = options.sampling(command.params)
    held_to = options.grammar(json_schema, regex, grammar)
    guesses = options.drafter(speculate, draft, threads)
    loaded = aboard.load(resolve(model), threads=threads, context=context, kv=kv)
    session: Session
    if raw:
        session = loaded.session()
        tokens = loaded.tokenizer.encode(text)
        answer = session.generate(
            tokens if state is None else session.resume(state, tokens),
            sampling=sampling,
            max_tokens=max_tokens,
            stop=stops,
            logprobs=as_json,  # nobody sees them otherwise, and each costs a pass over the logits
            speculate=guesses,
            constraint=held_to,
        )
    else:
        conversation = Conversation(loaded, system, state=state, now=now)
        session = conversation.session
        answer = conversation.ask(
            text,
            sampling=sampling,
            max_tokens=max_tokens,
            stop=stops,
            logprobs=as_json,
            speculate=guesses,
            constraint=held_to,
        )
    steps: list[Step] = []
    for step in answer:
        steps.append(step)
        if not as_json:
            stream(step.text)
    if as_json:
        told = None if raw else options.told_day(loaded, now)
        json_result({"model": model, "seed": seed, "date": told, **answer_facts(session, steps)})
    else:
        result("")
    limits = {"max_tokens": max_tokens, "context": loaded.context_length}
    if cut := cut_note(session, len(steps), **limits):
        note(f"aboard: {cut}")
