"""Small chat templates, each in the form of a family, and tiny models that have them."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tiny import tiny_llama, tokenizer_metadata

_TURNS = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.tool_calls %}CALLS{% else %}{{ m.content }}{% endif %}{{ '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\nGO' }}{% endif %}"
)
_TOOLS = (
    "{% if tools %}{{ '<|im_start|>system\n' }}{{ tools | tojson }}{{ '<|im_end|>\n' }}{% endif %}"
)
_EACH = "{% for c in m.tool_calls %}{% set f = c.function %}"


def _template(calls: str, go: str = "", tools: str = _TOOLS) -> str:
    return tools + _TURNS.replace("CALLS", calls).replace("GO", go)


_OBJECT = "{{ '{\"name\": \"' + f.name + '\", \"arguments\": ' + f.arguments | tojson + '}' }}"
_LISTED = "[" + _EACH + _OBJECT + "{% if not loop.last %}, {% endif %}{% endfor %}]"


@dataclass(frozen=True)
class Family:
    """A template, and the control tokens that a model with it has."""

    template: str
    marks: tuple[str, ...] = ()
    defined: tuple[str, ...] = field(default=())  # user-defined ones: text
    parallel: bool = True


FAMILIES = {
    "hermes": Family(
        _template(
            _EACH
            + "{% if not loop.first %}{{ '\n' }}{% endif %}{{ '<tool_call>\n' }}"
            + _OBJECT
            + "{{ '\n</tool_call>' }}{% endfor %}"
        ),
        defined=("<tool_call>", "</tool_call>"),
    ),
    "mistral-list": Family(
        _template("[TOOL_CALLS]" + _LISTED), marks=("[TOOL_CALLS]", "[TOOL_RESULTS]")
    ),
    "mistral": Family(
        _template(
            _EACH + "{{ '[TOOL_CALLS]' + f.name + '[ARGS]' + f.arguments | tojson }}{% endfor %}"
        ),
        marks=("[TOOL_CALLS]", "[ARGS]"),
    ),
    "mistral-numbered": Family(
        _template(
            _EACH
            + "{% if c.id | length != 9 %}{{ raise_exception('ids have 9 letters') }}{% endif %}"
            + "{{ '[TOOL_CALLS]' + f.name + '[CALL_ID]' + c.id + '[ARGS]' + f.arguments | tojson }}"
            + "{% endfor %}"
        ),
        marks=("[TOOL_CALLS]", "[CALL_ID]", "[ARGS]"),
    ),
    "functionary-recipients": Family(
        _template(
            _EACH + "{{ ('' if loop.first else '>>>') + f.name + '\n' + f.arguments }}{% endfor %}",
            go=">>>",
        ).replace(
            "{{ m.content }}", "{{ ('>>>all\n' if m.role == 'assistant' else '') + m.content }}"
        ),
    ),
    "functionary-tags": Family(
        _template(
            _EACH
            + "{{ '<function=' + f.name + '>' + f.arguments | tojson + '</function>' }}{% endfor %}"
        ),
    ),
    "granite": Family(
        (_TOOLS + _TURNS)
        .replace("{% if m.tool_calls %}CALLS{% else %}", "{% if true %}")
        .replace("GO", "")
        + "{# respond with <|tool_call|> and a list #}",
        marks=("<|tool_call|>",),
    ),
    "lfm2": Family(
        (_TOOLS + _TURNS)
        .replace("{% if m.tool_calls %}CALLS{% else %}", "{% if true %}")
        .replace("GO", ""),
        marks=("<|tool_call_start|>", "<|tool_call_end|>"),
    ),
    "llama3": Family(
        _template(
            _EACH
            + "{{ '{\"name\": \"' + f.name + '\", \"parameters\": ' + f.arguments | tojson + '}' }}"
            + "{% endfor %}"
        )
        + "{# <|start_header_id|> #}",
        marks=("<|python_tag|>",),
        parallel=False,
    ),
    "plain": Family(
        "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
        "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    ),
}


def metadata_of(family: Family) -> dict[str, object]:
    """The tokenizer of `tiny`, with the family's tokens and its template."""
    more = (*family.marks, *family.defined)
    entries = tokenizer_metadata(259 + len(more))
    tokens, types = list(entries["tokenizer.ggml.tokens"]), entries["tokenizer.ggml.token_type"]
    types = np.concatenate([types[:259], [3] * len(family.marks), [4] * len(family.defined)])
    return {
        **entries,
        "tokenizer.ggml.tokens": [*tokens[:259], *more],
        "tokenizer.ggml.token_type": types.astype(np.int32),
        "tokenizer.chat_template": family.template,
    }


def tiny_caller(path: Path, family: Family, **shape: object) -> Path:
    """A tiny model with random weights that has the family's tokens and template."""
    metadata = metadata_of(family)
    return tiny_llama(
        path, vocabulary=259 + len(family.marks + family.defined), metadata=metadata, **shape
    )
