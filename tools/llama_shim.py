"""`llama-server` for the tests of llama.cpp's server: its flags become those of `aboard serve`.

Only flags are translated; requests and answers go by untouched. What has no counterpart ends the
program with code 3 and says so, and the test fails: nothing is left out silently but what decides
speed alone, or what a request says itself.

ABOARD_SHIM_MODELS names a folder with `stories260K.gguf`, and `encoder.gguf` in the place of
bge-small; ABOARD_SHIM_WORK one for files made on the way.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import NoReturn, TextIO

MODELS = {
    "ggml-org/test-model-stories260K": "stories260K.gguf",
    "ggml-org/models:bert-bge-small/ggml-model-f16.gguf": "encoder.gguf",
}
# Flags that change nothing that an answer says, and how many values each has.
SPEED = {
    **{"--batch-size": 1, "--ubatch-size": 1, "--cont-batching": 0, "-fa": 1, "--swa-full": 0},
    **{"--offline": 0, "--no-slots": 0, "--metrics": 0, "--verbose": 0, "--embedding": 0},
    **{"--jinja": 0, "--no-jinja": 0, "--threads": 1, "--cache-ram": 1, "--no-ui": 0},
}
# Defaults of requests that say nothing themselves, and what of `sampling` they are.
DEFAULTS = {"--temp": "temperature", "--seed": "seed", "--n-predict": "max_tokens"}
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message.role + '\\n' + message.content "
    "+ '<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}"
    "{% endif %}"
)


def main() -> None:
    """Wait at the socket ABOARD_SHIM_SOCKET; each connection is one start of `llama-server`.

    It sends its folder and the flags, as a line of JSON, and gets the exit code; where it ends, the
    server is told to. What all servers need is imported once, for a test may start several.
    """
    import aboard.cli.app
    import aboard.engine
    import aboard.serve.app
    import aboard.serve.listening  # noqa: F401

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.environ["ABOARD_SHIM_SOCKET"])
        listening.listen(64)
        print("ready", flush=True)
        while True:
            connection, _ = listening.accept()
            if os.fork() == 0:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                listening.close()
                os._exit(_serve(connection))
            connection.close()


def _serve(connection: socket.socket) -> int:
    """Be the server, and tell how it ended."""
    from aboard.cli import main as aboard

    code: object = 1
    lines = connection.makefile(
        "r"
    )  # is never closed: the thread that reads it would be waited for
    try:
        folder, *arguments = json.loads(lines.readline())
        os.chdir(folder)
        file = _configured(arguments)
        threading.Thread(target=_end_with, args=(lines,), daemon=True).start()
        sys.argv = ["aboard", "serve", "--config", str(file)]
        aboard()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        with contextlib.suppress(OSError):
            connection.sendall(str(code).encode())
    return int(str(code))


def _end_with(lines: TextIO) -> None:
    lines.read()
    os.kill(os.getpid(), signal.SIGTERM)


def _configured(arguments: list[str]) -> Path:
    """A file for `aboard serve --config` that says what the flags say."""
    from aboard.engine.info import describe

    given = _flags(arguments)
    where = Path(os.environ["ABOARD_SHIM_WORK"])
    model = _model(given, where)
    slots = int(given.get("--parallel", "4"))
    context = int(given.get("--ctx-size", "512")) // (1 if "--kv-unified" in given else slots)
    entry = {"model": str(model), "name": given.get("--alias", "model"), "aliases": ["*"]}
    if model.name != "encoder.gguf":
        # as llama.cpp's server does, where a slot is given more than the model was trained on
        context = min(context, describe(model).context_length)
        entry |= {"context": context, **_defaults(given)}
    serve = {
        "host": given.get("--host", "127.0.0.1"),
        "port": int(given["--port"]),
        "max_sequences": slots,
        "threads": 1,
    }
    # which llama.cpp's server tells templates by itself
    today = f"date = {datetime.datetime.now(datetime.UTC).date()}"
    lines = ["[serve]", today, *_lines(serve), "[[serve.models]]", *_lines(entry)]
    file = where / f"{given['--port']}.toml"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    if key := given.get("--api-key"):
        os.environ["ABOARD_API_KEY"] = key
    return file


def _defaults(given: dict[str, str]) -> dict[str, object]:
    """What requests of this model say where they don't say it."""
    sampling = {to: json.loads(given[flag]) for flag, to in DEFAULTS.items() if flag in given}
    if sampling.get("max_tokens") == -1:  # as many as the context holds
        del sampling["max_tokens"]
    # What llama.cpp's server tells templates by itself.
    today = datetime.datetime.now(datetime.UTC)
    variables = {
        "enable_thinking": given.get("--reasoning", "auto") != "off",
        "date_string": today.strftime("%d %b %Y"),
        "datetime": today.strftime("%b %d %Y"),
    }
    return {"sampling": sampling, "chat_template_kwargs": variables}


def _lines(table: dict[str, object]) -> list[str]:
    return [f"{name} = {_toml(value)}" for name, value in table.items()]


def _toml(value: object) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{name} = {_toml(each)}" for name, each in value.items())
        return f"{{ {inner} }}"
    return json.dumps(value)


def _flags(arguments: list[str]) -> dict[str, str]:
    known = {"--port", "--host", "--alias", "--ctx-size", "--parallel", "--api-key"}
    known |= {"--hf-repo", "--hf-file", "--chat-template", "--chat-template-file", "--reasoning"}
    known |= DEFAULTS.keys()
    given: dict[str, str] = {}
    left = iter(arguments)
    for flag in left:
        if flag in SPEED:
            for _ in range(SPEED[flag]):
                next(left)
        elif flag in known:
            given[flag] = next(left)
        elif flag == "--kv-unified":
            given[flag] = ""
        elif flag == "--pooling" and next(left) in ("mean", "cls"):
            continue  # the encoder's own
        elif flag == "--reasoning-format" and next(left) in ("auto", "on"):
            continue  # what the template does by itself
        else:
            _give_up(f"{flag}: no counterpart")
    return given


def _model(given: dict[str, str], where: Path) -> Path:
    """The file of the model, with the chat template that is asked for."""
    repository, file = given.get("--hf-repo", ""), given.get("--hf-file")
    name = MODELS.get(repository) or MODELS.get(f"{repository}:{file}")
    if name is None:
        _give_up(f"{repository} {file or ''}: this model isn't here")
    path = Path(os.environ["ABOARD_SHIM_MODELS"]) / name
    if not path.exists():
        _give_up(f"{path}: isn't there")
    if name == "encoder.gguf":
        return path
    template = given.get("--chat-template", "chatml")
    if "--chat-template-file" in given:
        template = Path(given["--chat-template-file"]).read_text("utf-8")
    elif template == "chatml":
        template = CHATML
    elif template.replace("-", "").isalnum():
        _give_up(f"--chat-template {template}: templates have no names here")
    digest = hashlib.sha256(template.encode()).hexdigest()[:16]
    copy = where / f"{path.stem}.{digest}.gguf"
    if not copy.exists():
        beside = copy.with_suffix(f".{os.getpid()}")
        command = ["-m", "gguf.scripts.gguf_new_metadata", "--chat-template", template]
        subprocess.run([sys.executable, *command, str(path), str(beside)], check=True)
        beside.rename(copy)
    return copy


def _give_up(why: str) -> NoReturn:
    print(f"llama_shim: {why}", file=sys.stderr)
    raise SystemExit(3)


if __name__ == "__main__":
    main()
