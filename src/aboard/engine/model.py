"""A model, loaded: weights packed for this CPU, tokenizer, chat template."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import numpy.typing as npt

from aboard.engine.answer_state import Step
from aboard.engine.arguments import checked_several, checked_tokens
from aboard.engine.assembly import build_decoder
from aboard.engine.device import checked_threads
from aboard.engine.forward_pass import no_memory_for_context
from aboard.engine.options import checked_options
from aboard.engine.prefix import PrefixCache
from aboard.engine.replying import (
    Asked,
    calls_or_result,
    known_tools,
    reply_of,
    require_messages,
    require_no_control,
    variables_of,
)
from aboard.engine.rope import is_long
from aboard.engine.scheduler import Scheduler
from aboard.engine.scheduler_batch import MAX_SEQUENCES, PROMPT_SLICE
from aboard.engine.session import Session
from aboard.engine.weights import Weights
from aboard.errors import TemplateError, TokenizerError, UsageError
from aboard.models import DecoderModel

if TYPE_CHECKING:
    from aboard.checkpoint.chat_template import ChatTemplate
    from aboard.checkpoint.tokenizer import Tokenizer
    from aboard.constrain import Constraint, Grammar
    from aboard.tool_calls import Tool, ToolCalling, ToolChoice

Message = Mapping[str, object]


class Model:
    """A loaded model; made by `aboard.load`. Threads may share it, each with its own sessions.

    Attributes
    ----------
    path : Path
        Where it came from.
    config : DecoderModel
        Its hyper-parameters.
    chat_template : ChatTemplate or None
        How a conversation is written down for it.
    context_length : int
        Tokens a session may hold.
    weights_sha256 : str
        The hash of names, formats, shapes and bytes of all tensors.
    weights_bytes : int
        Bytes the packed weights hold in memory.
    decode_weight_bytes : int
        Those that decoding one token reads: all but an embedding that is not the head, too.
    kv : str
        How its KV caches store: "f16", "int8", or "f32" where activations stay float32.
    decoder : Decoder
        The native model.
    prefix_cache : PrefixCache
        Beginnings of prompts whose keys and values are kept.
    """

    def __init__(
        self,
        path: Path,
        config: DecoderModel,
        weights: Weights,
        tokenizer: Tokenizer | None,
        chat_template: ChatTemplate | None,
        context_length: int,
        threads: int,
        prefix_cache: PrefixCache,
        kv: str = "f16",
    ) -> None:
        self.path = path
        self.prefix_cache = prefix_cache
        self.config = config
        self.chat_template = chat_template
        self.context_length = context_length
        self.weights_sha256 = weights.sha256
        self.weights_bytes = weights.size_bytes
        tied = config.head == config.embedding
        unread = 0 if tied else weights.matrices[config.embedding.label].size_bytes
        self.decode_weight_bytes = self.weights_bytes - unread
        self.kv = kv
        self.decoder = build_decoder(config, weights, threads, kv, context_length)
        self._tokenizer = tokenizer

    def __repr__(self) -> str:
        return f"<Model {str(self.path)!r}: {self.config.architecture}>"

    @property
    def tokenizer(self) -> Tokenizer:
        """Text to token ids and back.

        Raises
        ------
        TokenizerError
            The file has no tokenizer.
        """
        if self._tokenizer is None:
            raise TokenizerError(
                f"{self.path}: has no tokenizer", hint="Only `logits` and sessions work, on ids."
            )
        return self._tokenizer

    @property
    def activations(self) -> str:
        """What its matrices are multiplied with: "int8" or "float32"."""
        return "float32" if self.kv == "f32" else "int8"

    @property
    def rope(self) -> str:
        """Which of its ropes the context takes: "short", "long", or "plain" where there is one."""
        two = [rope for rope in self.config.ropes if rope.long_divisors is not None]
        if not two:
            return "plain"
        return "long" if any(is_long(rope, self.context_length) for rope in two) else "short"

    @property
    def threads(self) -> int:
        """Threads that compute; may be set at any time. The answers don't depend on it.

        Raises
        ------
        UsageError
            Set to what is no integer from 1 to 1024.
        """
        return self.decoder.threads

    @threads.setter
    def threads(self, threads: int) -> None:
        self.decoder.threads = checked_threads(threads)

    def session(self, *, prefix_cache: bool = False) -> Session:
        """A new session: an empty KV cache on this model.

        Parameters
        ----------
        prefix_cache : bool
            Whether its first prompt takes over what the model's prefix cache knows of it, and what
            it computes is kept there. No answer depends on it.

        Raises
        ------
        NotEnoughMemory
            The system doesn't grant address space for the context.
        """
        try:
            cache = self.decoder.new_cache(self.context_length)
        except MemoryError:
            raise no_memory_for_context(self) from None
        return Session(self, cache, self.prefix_cache if prefix_cache else None)

    @overload
    def generate(self, prompt: str, *, stream: Literal[False] = False, **options: Any) -> str: ...
    @overload
    def generate(self, prompt: str, *, stream: Literal[True], **options: Any) -> Iterator[str]: ...
    def generate(self, prompt: str, *, stream: bool = False, **options: Any) -> str | Iterator[str]:
        """Continue `prompt` as it stands, without a chat template.

        Parameters
        ----------
        prompt : str
            Any text that isn't empty.
        stream : bool
            Return the answer piece by piece.
        **options
            `max_tokens` (int, 512 by default; None: as many as the context holds), `stop`
            (iterable of str), `constraint` (a `Grammar` that the answer must keep to),
            `speculate` (as for `Session.generate`), `state` (a file that `Session.save` wrote: the
            prompt must begin with its tokens, which are not processed again), and either
            `sampling` (a `Sampling`) or its fields: `temperature`, `top_k`, `top_p`, `min_p`,
            `repetition_penalty`, `presence_penalty`, `frequency_penalty`, `seed`, `logit_bias`.
            Greedy by default.

        Returns
        -------
        str, or an iterator of str where `stream` is set

        Raises
        ------
        ContextOverflow
            The prompt doesn't fit the context.
        SessionMismatch
            `state` is damaged, of other weights, or of another prompt.
        UsageError
            An option is unknown or out of its range.
        """
        return self._answer(self.tokenizer.encode(prompt), stream, options)

    def generate_many(self, prompts: Iterable[str], **options: Any) -> list[str]:
        """Continue each of `prompts`, all of them together; faster than one after the other.

        Parameters
        ----------
        prompts : iterable of str
            Texts that aren't empty.
        **options
            As for `generate`, the same for all, but no `speculate` and no `state`.

        Returns
        -------
        list of str
            The very texts that `generate` would return for each.

        Raises
        ------
        ContextOverflow, UsageError
            As for `generate`.
        """
        each = checked_several("prompts", prompts, "texts")
        chosen = checked_options(options)
        with self.batch() as batch:
            requests = [batch.submit(prompt, **chosen) for prompt in each]
            return [request.text() for request in requests]

    def batch(
        self,
        *,
        max_sequences: int = MAX_SEQUENCES,
        prompt_slice: int = PROMPT_SLICE,
        max_waiting: int | None = None,
        step_s: float | None = None,
    ) -> Scheduler:
        """A scheduler, which computes many answers together as they are asked for.

        It is a context manager; leaving it cancels what is under way. The parameters are those of
        `Scheduler`.

        Raises
        ------
        UsageError
            A number is out of its range.
        """
        return Scheduler(
            self,
            max_sequences=max_sequences,
            prompt_slice=prompt_slice,
            max_waiting=max_waiting,
            step_s=step_s,
        )

    @overload
    def chat(
        self,
        messages: Sequence[Message],
        *,
        stream: Literal[False] = False,
        now: date | None = None,
        **options: Any,
    ) -> str: ...
    @overload
    def chat(
        self,
        messages: Sequence[Message],
        *,
        stream: Literal[True],
        now: date | None = None,
        **options: Any,
    ) -> Iterator[str]: ...
    def chat(
        self,
        messages: Sequence[Message],
        *,
        stream: bool = False,
        now: date | None = None,
        **options: Any,
    ) -> str | Iterator[str]:
        """Answer a conversation.

        Parameters
        ----------
        messages : sequence of mappings
            Each with `role` ("system", "user", "assistant") and `content`.
        now : date or datetime, optional
            As for `chat_tokens`.
        stream, **options
            As for `generate`.

        Raises
        ------
        TemplateError
            The model has no chat template, or it refuses the conversation.
        ContextOverflow, SessionMismatch, UsageError
            As for `generate`.
        """
        return self._answer(self.chat_tokens(messages, now=now), stream, options)

    def chat_tokens(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool | Message] = (),
        now: date | None = None,
        template_kwargs: Mapping[str, object] = MappingProxyType({}),
    ) -> list[int]:
        """The token ids of a conversation, up to where the assistant's answer begins.

        Parameters and errors are those of `chat_text`.
        """
        text = self.chat_text(messages, tools=tools, now=now, template_kwargs=template_kwargs)
        # The template has written BOS itself; an EOS after it would end the answer at once.
        return self.tokenizer.encode(text, add_special=False)

    def chat_text(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool | Message] = (),
        now: date | None = None,
        template_kwargs: Mapping[str, object] = MappingProxyType({}),
        add_generation_prompt: bool = True,
    ) -> str:
        """A conversation as the model's chat template writes it.

        Parameters
        ----------
        messages : sequence of mappings
            As for `chat`; of an assistant `tool_calls`, too, and of a tool (`role` "tool") the
            `tool_call_id`, as the cloud API has them.
        tools : sequence of Tool, or of mappings of the cloud API
            What the model is told that it may call.
        now : date or datetime, optional
            The day that the chat template may tell the model (`strftime_now`); the same day, the
            same tokens, whenever that is asked for. Without it a template has no date to tell.
        template_kwargs : mapping of str to JSON
            Further variables of the template, such as `enable_thinking`; one that the template
            doesn't know changes nothing.
        add_generation_prompt : bool
            End with the words that begin an answer.

        Raises
        ------
        TemplateError
            The model has no chat template, or it refuses the conversation.
        UsageError
            A message, a tool or a variable spells out a control token: it could pass for another
            speaker's turn. Or `now` is no date, a message, a call or a tool is none, or a variable
            is one that can't be set.
        GrammarError
            A tool's schema has no form in JSON.
        """
        template, variables = self.template, variables_of(template_kwargs)
        require_messages(messages)
        known = known_tools(tools)
        given: Sequence[Message] | None = None
        told = messages
        if known or any(calls_or_result(message) for message in messages):
            told, given = self.tool_calling.written(messages, known)
        text = template.render(
            told, tools=given, now=now, add_generation_prompt=add_generation_prompt, **variables
        )
        require_no_control(self.tokenizer, messages, known, variables)
        return text

    @property
    def template(self) -> ChatTemplate:
        """How a conversation is written down for it.

        Raises
        ------
        TemplateError
            The model has no chat template.
        """
        if self.chat_template is None:
            raise TemplateError(
                f"{self.path}: has no chat template", hint="Write the prompt out: `generate`."
            )
        return self.chat_template

    @cached_property
    def tool_calling(self) -> ToolCalling:
        """How it calls tools.

        Raises
        ------
        TemplateError
            The model has no chat template.
        """
        from aboard.tool_calls import ToolCalling

        return ToolCalling(self.template, self.tokenizer)

    def reply(
        self,
        messages: Sequence[Message],
        *,
        tools: Sequence[Tool | Message],
        tool_choice: Literal["auto", "none", "required"] | ToolChoice = "auto",
        parallel_tool_calls: bool = True,
        now: date | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        """Answer a conversation, or call tools.

        Parameters
        ----------
        messages : sequence of mappings
            As for `chat_tokens`.
        tools : sequence of Tool, or of mappings of the cloud API
            What may be called.
        tool_choice : str or ToolChoice
            Whether the model may, may not or must call.
        parallel_tool_calls : bool
            Whether there may be several calls, where the model's template knows that.
        now : date or datetime, optional
            As for `chat_tokens`.
        **options
            As for `generate`, but for `constraint`. Calls are left whole by `stop`.

        Returns
        -------
        dict
            The message, fit to be put behind `messages`: `role`, `content` (str or None) and, where
            there are calls, `tool_calls`, each with `id`, `type` and `function`: `name` and
            `arguments`, a JSON text of what the tool's schema accepts. A call that `max_tokens`
            cut is left out.

        Raises
        ------
        GrammarError
            A schema is none, or is unsupported.
        TemplateError, ContextOverflow, SessionMismatch, UsageError
            As for `chat`.
        """
        prompt = self.chat_tokens(messages, tools=tools, now=now)
        asked = Asked(known_tools(tools), tool_choice, parallel_tool_calls)
        return reply_of(self, prompt, asked, options)

    def logits(self, tokens: Iterable[int]) -> npt.NDArray[np.float32]:
        """The logits after each of `tokens`.

        Parameters
        ----------
        tokens : iterable of int
            At least one, at most the context.

        Returns
        -------
        (T, V) float32

        Raises
        ------
        ContextOverflow
            They don't fit the context.
        UsageError
            There are none, or one is not in the vocabulary.
        """
        with self.session() as session:
            return session.logits(tokens)

    def embed(
        self, texts: Iterable[str], *, normalize: bool | None = None, truncate: bool = False
    ) -> npt.NDArray[np.float32]:
        """The vectors of `texts`, of a model that is an encoder.

        Parameters
        ----------
        texts : iterable of str
            Any texts.
        normalize : bool, optional
            Divide each vector by its length; by default if the model's makers do.
        truncate : bool
            Leave out what is beyond `context_length` tokens instead of refusing it.

        Returns
        -------
        (N, D) float32
            Row i depends on text i alone, and is the same on every machine.

        Raises
        ------
        ContextOverflow
            A text has more tokens than `context_length`.
        UsageError
            The model is no encoder, or `texts` are no texts.
        """
        raise UsageError(
            f"{self.path}: is a decoder ({self.config.architecture}), which makes no vectors",
            hint="Load an encoder, such as all-MiniLM-L6-v2.",
        )

    def decode_together(
        self, sessions: Sequence[Session], tokens: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Process one token in each of several sessions; faster than one after the other.

        Parameters
        ----------
        sessions : sequence of Session
            Of this model, each once.
        tokens : sequence of int
            One for each session.

        Returns
        -------
        (B, V) float32
            Row i are the very logits that `sessions[i].decode(tokens[i])` would return.

        Raises
        ------
        ContextOverflow
            A context is full; nothing was processed.
        UsageError
            The arguments don't fit together, or a token is not in the vocabulary.
        """
        ids = self.checked_tokens(tokens)
        n_different = len({id(each) for each in sessions})
        if not ids.size or len(sessions) != ids.size or n_different != ids.size:
            raise UsageError(f"{ids.size} tokens for {n_different} different sessions")
        if any(session.model is not self for session in sessions):
            raise UsageError("a session belongs to another model")
        return Session.step_together(sessions, ids)

    def constraint(self, grammar: Grammar | None) -> Constraint | None:
        """The state of an answer of this model that must keep to `grammar`; None for None.

        Raises
        ------
        GrammarError
            It can't be compiled within its limits.
        TokenizerError
            The model has no tokenizer.
        UsageError
            It is no `Grammar`.
        """
        if grammar is None:
            return None
        from aboard.constrain import Grammar

        if not isinstance(grammar, Grammar):
            raise UsageError(
                f"constraint is a {type(grammar).__name__}, expected a Grammar",
                hint="Make one: `Grammar.json_schema(...)`, `.regex(...)` or another.",
            )
        return grammar.constraint(self.tokenizer, self.config.n_vocabulary)

    def checked_tokens(self, tokens: Iterable[int]) -> npt.NDArray[np.int32]:
        """`tokens` as (T,) int32.

        Raises
        ------
        UsageError
            One is no integer, or not in the vocabulary.
        """
        return checked_tokens(tokens, self.config.n_vocabulary)

    def steps(self, tokens: list[int], options: Mapping[str, Any]) -> Iterator[Step]:
        """The steps of an answer to a prompt of `tokens`; `options` are those of `generate`.

        Raises
        ------
        ContextOverflow, SessionMismatch, UsageError
            As for `generate`.
        """
        chosen = checked_options(options)
        state = chosen.pop("state")
        session = self.session(prefix_cache=True)
        rest = tokens if state is None else session.resume(state, tokens)
        return _closing(session, session.generate(rest, **chosen))

    def _answer(
        self, tokens: list[int], stream: bool, options: dict[str, Any]
    ) -> str | Iterator[str]:
        texts = _texts(self.steps(tokens, options))
        return texts if stream else "".join(texts)


def _closing(session: Session, steps: Iterator[Step]) -> Iterator[Step]:
    """The steps; the session is closed afterwards."""
    with session:
        yield from steps


def _texts(steps: Iterator[Step]) -> Iterator[str]:
    """The texts of the steps that have one."""
    for step in steps:
        if step.text:
            yield step.text
