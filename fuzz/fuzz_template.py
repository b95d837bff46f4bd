"""Does any chat template do else than render or be refused?

A finding is any exception but TemplateError, more than a second of CPU time for one input, or
memory beyond the limits. The input is the template's text. See README.md; the command is that of
the GGUF reader with `template` for `gguf`; the seeds are made by seeds_template.py.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

MAX_CPU_SECONDS = 1.0
MAX_ADDRESS_SPACE = 2 << 30
MAX_OUTPUT_CHARS = 1 << 20

CALL = {"type": "function", "function": {"name": "f", "arguments": {"x": [1, 2.5, None, "é"]}}}
MESSAGES = (
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": " Hello <b>\n" * 8},
    {"role": "assistant", "content": "<think>no</think> yes", "tool_calls": [CALL]},
    {"role": "tool", "content": [{"type": "text", "text": "3"}]},
)


def examine(data: bytes) -> str:
    """What becomes of a template of these bytes: "sound", or the message of its refusal."""
    from aboard.checkpoint.chat_template import ChatTemplate
    from aboard.errors import TemplateError

    source = data.decode("utf-8", "replace")
    template = ChatTemplate({"default": source}, {"bos_token": "<s>", "eos_token": "</s>"})
    try:
        text = template.render(MESSAGES, tools=[CALL])
    except TemplateError as error:
        return str(error)
    if len(text) > MAX_OUTPUT_CHARS:
        raise AssertionError(f"{len(text)} characters came out")
    return "sound"


def main() -> None:
    """Fuzz until a limit that libFuzzer was given; its options are the arguments."""
    import atheris
    from harness import fuzz

    with atheris.instrument_imports(include=["aboard"]):
        import aboard.checkpoint.chat_template  # noqa: F401
    fuzz(examine, max_cpu_s=MAX_CPU_SECONDS, max_address_space=MAX_ADDRESS_SPACE)


if __name__ == "__main__":
    main()
