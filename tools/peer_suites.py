"""Runs tests that others wrote for their clients and servers against `aboard serve`.

    python tools/peer_suites.py openai    SOURCE --model model.gguf
    python tools/peer_suites.py anthropic SOURCE --model model.gguf
    python tools/peer_suites.py llama     SOURCE --models FOLDER

SOURCE is unpacked by whoever runs this: the repository of the `openai` or `anthropic` package (its
`tests` folder), or `vendor/llama.cpp` of llama-cpp-python's sdist. It runs with this Python, which
needs what tools/peer_requirements.txt lists; the server runs with `--python`. Nothing is written
here but what `--out` names. docs/reference/compatibility.md says what came of it.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
SERVE = "from aboard.cli import main; main()"
CLOUD = {
    "openai": (
        "chat/test_completions.py",
        "test_completions.py",
        "test_models.py",
        "test_embeddings.py",
        "test_responses.py",
        "responses/test_input_items.py",
        "responses/test_input_tokens.py",
        "test_files.py",
        "test_batches.py",
    ),
    "anthropic": ("test_messages.py", "test_models.py"),
}
# Of llama.cpp's tests: what has no counterpart here. See docs/reference/compatibility.md.
LEFT_OUT = (
    *("compat_gcp", "infill", "kv_keep_only_active", "lora", "mcp_servers", "proxy", "rerank"),
    *("router", "sleep", "slot_save", "speculative", "tools_builtin", "vision_api"),
)
# Its tests start each of their models once before all others, which stops where one is missing, and
# listen on one port, which may be taken.
_PLUGIN = """
import socket

import utils

start = utils.ServerProcess.start


def start_somewhere(self, *arguments, **options):
    with socket.create_server(("127.0.0.1", 0)) as free:
        self.server_port = free.getsockname()[1]
    return start(self, *arguments, **options)


utils.ServerProcess.start = start_somewhere
utils.ServerPreset.load_all = staticmethod(lambda: None)
"""


# What they start in the place of their server; see tools/llama_shim.py.
_STUB = """
import json, os, signal, socket, sys

shim = socket.socket(socket.AF_UNIX)
shim.connect(os.environ["ABOARD_SHIM_SOCKET"])
shim.sendall(json.dumps([os.getcwd(), *sys.argv[1:]]).encode() + b"\\n")
signal.signal(signal.SIGTERM, lambda *_: shim.shutdown(socket.SHUT_WR))
sys.exit(int(shim.recv(9) or 1))
"""


def main() -> None:
    """Run a suite, and print what passed and why the rest did not."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suite", choices=(*CLOUD, "llama"))
    parser.add_argument("source", type=Path)
    parser.add_argument("--model", type=Path, action="append", default=[], help="for clients")
    parser.add_argument("--models", type=Path, help="for llama: stories260K.gguf, encoder.gguf")
    parser.add_argument("--python", default=sys.executable, help="with aboard[serve]")
    parser.add_argument("--out", type=Path, help="outcomes as JSON")
    options, options.rest = parser.parse_known_args()  # what isn't known is for pytest
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        outcomes = (_cloud if options.suite in CLOUD else _llama)(options, work)
    counts = Counter(outcome for outcome, _ in outcomes.values())
    for name, (outcome, why) in sorted(outcomes.items()):
        if outcome != "passed":
            print(f"{outcome:8} {name}: {why}")
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.most_common()))
    if options.out:
        options.out.write_text(json.dumps(outcomes, indent=1, sort_keys=True) + "\n", "utf-8")


def _cloud(options: argparse.Namespace, work: Path) -> dict[str, tuple[str, str]]:
    tests = options.source / "tests"
    files = [tests / "api_resources" / each for each in CLOUD[options.suite]]
    models = [str(each.absolute()) for each in options.model]
    with _served(options.python, models, work) as url:
        base = f"{url}/v1" if options.suite == "openai" else url  # the other writes it itself
        environment = os.environ | {"TEST_API_BASE_URL": base}
        return _pytest(files, options.source, environment, options.rest, work)


def _llama(options: argparse.Namespace, work: Path) -> dict[str, tuple[str, str]]:
    tests = options.source / "tools" / "server" / "tests"
    program = work / "llama-server"
    program.write_text(f"#!{sys.executable} -SE\n{_STUB}", "utf-8")
    program.chmod(0o755)
    (work / "conftest_aboard.py").write_text(_PLUGIN, "utf-8")
    place = {
        "ABOARD_SHIM_MODELS": str(options.models.absolute()),
        "ABOARD_SHIM_WORK": str(work),
        "ABOARD_SHIM_SOCKET": str(work / "socket"),
        "LLAMA_SERVER_BIN_PATH": str(program),
        "PYTHONPATH": f"{work}:{tests}",
    }
    environment = os.environ | place
    left_out = [f"--ignore={tests / 'unit' / f'test_{name}.py'}" for name in LEFT_OUT]
    rest = ["-p", "conftest_aboard", "-m", "not slow", *left_out, *options.rest]
    shim = [options.python, str(ROOT / "tools" / "llama_shim.py")]
    with (work / "shim.log").open("w") as log:
        own = {name: value for name, value in environment.items() if name != "PYTHONPATH"}
        waiting = subprocess.Popen(shim, env=own, stdout=subprocess.PIPE, stderr=log, text=True)
        assert waiting.stdout is not None
        try:
            waiting.stdout.readline()
            return _pytest([tests / "unit"], tests, environment, rest, work)
        finally:
            waiting.terminate()
            waiting.wait()


@contextlib.contextmanager
def _served(python: str, models: list[str], work: Path) -> Iterator[str]:
    """A server of the models that takes any name, and its URL."""
    aliases = [part for each in models for part in ("--alias", f"*={each}")]
    options = ["--data", str(work / "data"), "--port", "0", "--json"]
    command = [python, "-c", SERVE, "serve", *models, *aliases, *options]
    with (work / "server.log").open("w") as log:
        program = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert program.stdout is not None
        try:
            yield json.loads(program.stdout.readline())["url"]
        finally:
            program.terminate()
            program.wait()


def _pytest(
    paths: list[Path], folder: Path, environment: dict[str, str], rest: list[str], work: Path
) -> dict[str, tuple[str, str]]:
    """Outcome and reason of each test."""
    report = work / "report.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short"]
    options = [f"--junitxml={report}", "-o", "junit_family=xunit1", *rest]
    files = [str(path.absolute()) for path in paths if path.exists()]
    subprocess.run([*command, *options, *files], cwd=folder, env=environment, check=False)
    outcomes = {}
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        found = [each for each in case if each.tag in ("failure", "error", "skipped")]
        kinds = {"failure": "failed", "error": "failed", "skipped": "skipped"}
        why = (found[0].get("message") or "").partition("\n")[0][:200] if found else ""
        outcomes[name] = (kinds[found[0].tag] if found else "passed", why)
    return outcomes


if __name__ == "__main__":
    main()
