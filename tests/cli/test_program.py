"""The program as a process: help, version, exit codes, pipes, and that nothing opens a socket."""

import subprocess
import sys
from pathlib import Path

import pytest

import aboard
from aboard.cli import output
from aboard.cli.reference import reference

ROOT = Path(__file__).parent.parent.parent
COMMANDS = ["pull", "models", "run", "chat", "info", "check", "bench", "attest"]
MAIN = "from aboard.cli import main; main()"


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(aboard.__file__).parent.parent))

    def start(*arguments: str, before: str = "", **options) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", f"{before}\n{MAIN}", *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)

    return start


def test_the_reference_page_is_the_help_of_the_program() -> None:
    page = ROOT / "docs" / "reference" / "cli.md"

    assert page.read_text("utf-8") == reference(), (
        "run: python -m aboard.cli.reference > docs/reference/cli.md"
    )


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_and_json(call, command: str) -> None:
    outcome = call(command, "--help")

    assert outcome.exit_code == 0
    assert "--json" in outcome.stdout


def test_the_list_of_commands_is_whole_on_a_narrow_screen(call) -> None:
    outcome = call("--help", width=60)

    words = " ".join(outcome.stdout.partition("Commands:")[2].split())
    assert "..." not in words
    assert "attest Print the hashes of MODEL and of what this machine computes with it." in words


def test_version(program) -> None:
    assert program("--version").stdout == f"aboard {aboard.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["nonsense"],
        ["run"],
        ["pull"],
        ["run", "m", "p", "--top-p", "1.5"],
        ["run", "m", "p", "--temperature", "hot"],
        ["run", "m", "p", "--threads", "0"],
        ["bench", "m", "--rounds", "0"],
        ["models", "extra"],
        ["attest", "m", "--check", "nowhere.json"],
        ["attest", "m", "--check", "."],
    ],
)
def test_a_wrong_command_line_exits_with_2(call, arguments: list[str]) -> None:
    assert call(*arguments).exit_code == 2


def test_an_error_shows_no_traceback_unless_asked(program) -> None:
    plain = program("pull", "huge")
    debug = program("pull", "huge", before="import os; os.environ['ABOARD_DEBUG'] = '1'")

    assert plain.returncode == debug.returncode == 1
    assert "Traceback" not in plain.stderr
    assert "Traceback" in debug.stderr
    assert "StoreError" in debug.stderr


def test_help_imports_nothing_heavy(program) -> None:
    show = "import atexit, sys; atexit.register(lambda: print(*sys.modules, file=sys.stderr))"

    modules = set(program("--help", before=show).stderr.split())

    assert (
        modules
        & {"numpy", "rich", "prompt_toolkit", "tokenizers", "minijinja", "pydantic", "starlette"}
        == set()
    )


WATCH = """
import sys
def refuse(event, arguments):
    if event.startswith(("socket.", "subprocess.", "os.posix_spawn", "os.exec", "os.system")):
        print("FORBIDDEN", event, arguments, file=sys.stderr)
sys.addaudithook(refuse)
"""


@pytest.mark.parametrize("arguments", [["models"], ["info", "own.gguf"], ["run", "own.gguf", "hi"]])
def test_no_command_but_pull_opens_a_socket_or_starts_a_process(
    program, tmp_path: Path, arguments: list[str]
) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")

    outcome = program(*arguments, before=WATCH)

    assert "FORBIDDEN" not in outcome.stderr
    assert "Traceback" not in outcome.stderr


def test_pull_from_a_file_opens_no_socket_either(program, tmp_path: Path) -> None:
    (tmp_path / "bad.whl").write_bytes(b"PK\x03\x04")

    outcome = program("pull", "smollm2-135m", "--from", "bad.whl", before=WATCH)

    assert outcome.returncode == 1
    assert "FORBIDDEN" not in outcome.stderr


def test_a_reader_that_goes_away_is_no_noise(program) -> None:
    gone = "import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1)"

    outcome = program("models", before=gone)

    assert outcome.returncode == 141
    assert outcome.stderr == ""


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"], ["models"]])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_behind_stdout_is_one_line(
    program, monkeypatch: pytest.MonkeyPatch, arguments: list[str], unbuffered: str
) -> None:
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 1)"

    outcome = program(*arguments, before=full)

    assert outcome.returncode == 1
    assert outcome.stderr == "aboard: No space left on device\n"


def test_a_full_disk_behind_stderr_leaves_the_exit_code(program) -> None:
    full = "import os; os.dup2(os.open('/dev/full', os.O_WRONLY), 2)"

    assert program("pull", "huge", before=full).returncode == 1


@pytest.mark.parametrize(
    ("arguments", "closed", "code", "told"),
    [
        (["models"], ">&-", 0, ""),
        (["models"], "<&- >&- 2>&-", 0, ""),
        (["pull", "huge"], "2>&-", 1, ""),
        (["run", "own.gguf"], "<&-", 2, "aboard: the prompt is empty"),
        (["chat", "own.gguf"], "<&- >&-", 1, "aboard: own.gguf: "),
    ],
)
def test_a_closed_stream_is_empty_or_swallows_what_is_written(
    program, home: Path, tmp_path: Path, arguments: list[str], closed: str, code: int, told: str
) -> None:
    (tmp_path / "own.gguf").write_bytes(b"GGUF")
    command = [sys.executable, "-c", MAIN, *arguments]

    outcome = subprocess.run(
        ["sh", "-c", f'exec "$@" {closed}', "sh", *command],
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome.returncode == code
    assert outcome.stdout == ""
    assert outcome.stderr.startswith(told)
    assert "Traceback" not in outcome.stderr


def test_a_terminal_never_gets_control_characters() -> None:
    hostile = "a\x1b]0;title\x07b\x9b2Jc\rd\u202ee\x00"

    assert output.printable(hostile) == "a�]0;title�b�2Jc�d�e�"
    assert output.printable("tab\tand\nline é 漢 🙂") == "tab\tand\nline é 漢 🙂"


def test_an_encoding_that_lacks_a_character_does_not_stop_the_program(
    program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    rename = "import dataclasses; from aboard.store import CATALOGUE as c; "
    rename += "c['é'] = dataclasses.replace(c.popitem()[1], name='é')"

    outcome = program("models", before=rename)

    assert outcome.returncode == 0
    assert outcome.stdout.splitlines()[1].startswith("?  ")
