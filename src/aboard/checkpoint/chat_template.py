"""Conversations written down as the model was trained to read them: `tokenizer.chat_template`.

Templates are rendered by minijinja with the settings of Hugging Face's `apply_chat_template`.
A template comes with a stranger's file, so it is limited in fuel, size and time.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from datetime import date

from aboard.checkpoint.chat_template_source import CHECK, FORMAT, LOOP, SCALAR, guard_source
from aboard.checkpoint.chat_template_values import (
    Meter,
    Size,
    check_loop,
    freeze,
    is_iterable,
    is_sequence,
    raise_exception,
    strftime_at,
    total,
)
from aboard.errors import TemplateError

KEY = "tokenizer.chat_template"

# minijinja takes one unit of fuel per instruction and one per 32 or so bytes of a string it makes.
# Of 70 published templates the hungriest but one takes 110,000 for 401 short messages, and 0.2 per
# character. Memory stays within about 64 bytes per unit.
FUEL, FUEL_PER_CHAR, FUEL_PER_VALUE, MAX_FUEL = 200_000, 1, 1_000, 8_000_000
# What one value of a template may hold: so much, and four times the input.
MAX_VALUES, MAX_CHARS = 20_000, 200_000

_SPECIAL = {
    "bos_token": "bos_token_id",
    "eos_token": "eos_token_id",
    "unk_token": "unknown_token_id",
    "pad_token": "padding_token_id",
}
RESERVED = frozenset(
    {
        *("messages", "tools", "now", "add_generation_prompt", "strftime_now", "raise_exception"),
        *(*_SPECIAL, CHECK, LOOP, SCALAR, FORMAT),
        "self",  # in Jinja the template's blocks
    }
)
"""What `ChatTemplate.render` itself tells a template, which no further variable may be called."""


class ChatTemplate:
    """Writes a conversation down as one text.

    Made by `ChatTemplate.from_gguf`. Safe to share between threads.

    Parameters
    ----------
    templates : mapping of str to str
        Name -> source; "default" is the main one. "tool_use" is taken where tools are given.
    special_tokens : mapping of str to str
        What the template knows as `bos_token`, `eos_token`, `unk_token` and `pad_token`.
    """

    def __init__(
        self, templates: Mapping[str, str], special_tokens: Mapping[str, str] | None = None
    ) -> None:
        self._sources = dict(templates)
        self._guarded: dict[str, str] = {}
        self._special = dict(special_tokens or {})

    @classmethod
    def from_gguf(cls, metadata: Mapping[str, object]) -> ChatTemplate | None:
        """The chat template that GGUF `metadata` holds, None where it holds none.

        Besides `tokenizer.chat_template` the named ones are read: `tokenizer.chat_template.<name>`.

        Raises
        ------
        TemplateError
            A template is not a string.
        """
        sources: dict[str, str] = {}
        for key, value in metadata.items():
            if key != KEY and not key.startswith(KEY + "."):
                continue
            if not isinstance(value, str):
                raise TemplateError(
                    f"{key} is {type(value).__name__}, expected a string",
                    hint="The file is damaged or was made by a faulty converter: get it again.",
                )
            sources[key[len(KEY) + 1 :] or "default"] = value
        return cls(sources, _special_tokens(metadata)) if sources else None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the templates, sorted."""
        return tuple(sorted(self._sources))

    @property
    def source(self) -> str | None:
        """The main one, as it stands in the file; None where only others have names."""
        return self._sources.get("default")

    @property
    def tools_source(self) -> str | None:
        """The one that is taken where tools are given, as it stands in the file."""
        return self._sources.get("tool_use", self.source)

    @property
    def may_tell_date(self) -> bool:
        """Whether what `render` writes may depend on `now`: a template speaks of `strftime_now`."""
        return any("strftime_now" in source for source in self._sources.values())

    @property
    def sha256(self) -> str:
        """The hash of the template, as 64 hexadecimal digits.

        Of one template, it is that of its text in UTF-8. Of several, that of each name and text,
        by name, each with its length in bytes before it as 8 bytes little-endian.
        """
        if list(self._sources) == ["default"]:
            return hashlib.sha256(_utf8(self._sources["default"])).hexdigest()
        digest = hashlib.sha256()
        for part in (part for name in self.names for part in (name, self._sources[name])):
            data = _utf8(part)
            digest.update(len(data).to_bytes(8, "little") + data)
        return digest.hexdigest()

    def render(
        self,
        messages: Sequence[Mapping[str, object]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, object]] | None = None,
        now: date | None = None,
        **extra: object,
    ) -> str:
        """The text of a conversation.

        Parameters
        ----------
        messages : sequence of mappings
            Each with `role` and `content`, and what else the template knows.
        add_generation_prompt : bool
            End with the words that begin an answer.
        tools : sequence of mappings, optional
            JSON schemas of the functions the model may call.
        now : date or datetime, optional
            What `strftime_now` tells. Without it the template has no such function: a conversation
            must not read otherwise tomorrow.
        **extra
            Further variables of the template, such as `enable_thinking`.

        Raises
        ------
        TemplateError
            The template refuses the conversation, is faulty, or ran past its limits.
        UsageError
            A value has no form in JSON, or `now` is no date.
        """
        given = {"messages": list(messages), "tools": tools, "documents": None} | extra
        frozen = {name: freeze(value, name) for name, value in given.items()}
        variables: dict[str, object] = dict(self._special)
        variables |= {name: value for name, (value, _) in frozen.items()}
        variables["add_generation_prompt"] = bool(add_generation_prompt)
        size = total(size for _, size in frozen.values())
        if now is not None:
            variables["strftime_now"] = strftime_at(now)
        return self._render(self._pick(tools is not None), variables, size)

    def _pick(self, has_tools: bool) -> str:
        name = "tool_use" if has_tools and "tool_use" in self._sources else "default"
        if name not in self._sources:
            raise TemplateError(
                f"the file has no default chat template, only {', '.join(self.names)}",
                hint="Render the conversation yourself and use the model without a template.",
            )
        if name not in self._guarded:
            self._guarded[name] = guard_source(self._sources[name])
        return self._guarded[name]

    @staticmethod
    def _render(source: str, variables: dict[str, object], size: Size) -> str:
        import minijinja  # takes 19 ms: only where a conversation is rendered

        # The text that comes out is one more value.
        limit = Size(MAX_VALUES + 4 * size.n_values, MAX_CHARS + 4 * size.n_chars)
        meter = Meter(limit)
        fuel = FUEL + FUEL_PER_CHAR * size.n_chars + FUEL_PER_VALUE * size.n_values
        environment = minijinja.Environment(
            fuel=min(fuel, MAX_FUEL),
            trim_blocks=True,
            lstrip_blocks=True,
            debug=False,  # an error would otherwise show the whole conversation
            filters={"tojson": meter.tojson, SCALAR: meter.scalar, FORMAT: meter.format},
            tests={"aboard_iterable": is_iterable, "aboard_sequence": is_sequence},
            globals={"raise_exception": raise_exception, CHECK: meter.check, LOOP: check_loop},
        )
        environment.remove_global("debug")
        try:
            text = environment.render_str(source, "chat template", **variables)
            meter.check(text)
            return text
        except TemplateError:
            raise
        except minijinja.TemplateError as error:
            raise TemplateError(_message(error), hint=_hint(error)) from None
        except Exception as error:
            raise TemplateError(
                f"the chat template failed: {type(error).__name__}: {str(error)[:200]}"
            ) from None


def _message(error: Exception) -> str:
    text = str(error).partition("\n")[0][:500]
    text = re.sub(r" \(in chat template:(\d+)\)$", r", line \1", text)
    if "out of fuel" in text:
        return "the chat template ran past its limit of work"
    return f"the chat template failed: {text}"


def _hint(error: Exception) -> str | None:
    if "strftime_now" in str(error):
        return "The template tells the model a date: give one with `now`."
    return None


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _special_tokens(metadata: Mapping[str, object]) -> dict[str, str]:
    """The texts of the tokens that templates call by name; those the file has."""
    tokens = metadata.get("tokenizer.ggml.tokens")
    found: dict[str, str] = {}
    if not isinstance(tokens, Sequence) or isinstance(tokens, str | bytes):
        return found
    for name, key in _SPECIAL.items():
        token_id = metadata.get(f"tokenizer.ggml.{key}")
        if isinstance(token_id, int) and 0 <= token_id < len(tokens):
            text = tokens[token_id]
            if isinstance(text, str):
                found[name] = text
    return found
