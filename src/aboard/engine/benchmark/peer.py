"""Another engine, measured beside ours: a process in its own environment that worker.py runs in."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aboard.closing import Closing
from aboard.engine.benchmark.work import Work
from aboard.errors import PeerError, UsageError

WORKER = Path(__file__).with_name("worker.py")
LLAMA_CPP = "llama.cpp"
LLAMA_CPP_HUGE_PAGES = "llama.cpp+hugepages"
_HUGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
_TIMEOUT_S = 1200.0  # filling a deep context of a large model takes minutes
_CLOSING_S = 5.0


@dataclass(frozen=True, slots=True)
class PeerSpec:
    """How to start another engine.

    Attributes
    ----------
    name : str
        What reports call it.
    python : Path
        The interpreter of its environment.
    worker : Path
        The script that serves it, see worker.py.
    environment : mapping
        Variables that are set for it.
    """

    name: str
    python: Path
    worker: Path = WORKER
    environment: Mapping[str, str] = field(default_factory=dict)


def python_of(environment: str | Path) -> Path:
    """The interpreter of a virtual environment.

    Raises
    ------
    UsageError
        There is none.
    """
    folder = Path(environment)
    for part in ("bin/python", "Scripts/python.exe"):
        if (folder / part).is_file():
            return folder / part
    raise UsageError(
        f"{folder}: no virtual environment, it has no bin/python",
        hint=f"Make one: python3 -m venv {folder}, then install the other engine there.",
    )


def llama_cpp(environment: str | Path, *, huge_pages: bool = False) -> PeerSpec:
    """llama.cpp as `llama-cpp-python` in a virtual environment.

    Parameters
    ----------
    environment : str or Path
        The environment's folder.
    huge_pages : bool
        Have glibc put its large memory on huge pages.

    Raises
    ------
    UsageError
        No environment is there.
    """
    python = python_of(environment)
    if huge_pages:
        return PeerSpec(LLAMA_CPP_HUGE_PAGES, python, environment=_HUGE_PAGES)
    return PeerSpec(LLAMA_CPP, python)


def peers_by_name(names: list[str], environment: str | Path | None) -> list[PeerSpec]:
    """The engines that `names` ask for: "llama.cpp", "llama.cpp+hugepages".

    Raises
    ------
    UsageError
        A name is unknown, or there is no environment.
    """
    specs = []
    for name in names:
        if name not in (LLAMA_CPP, LLAMA_CPP_HUGE_PAGES):
            raise UsageError(
                f"no way to measure against {name!r}",
                hint=f"There are {LLAMA_CPP} and {LLAMA_CPP_HUGE_PAGES}.",
            )
        if environment is None:
            raise UsageError(
                f"where is {name}?",
                hint="Name the virtual environment that has llama-cpp-python: --peer ENV.",
            )
        specs.append(llama_cpp(environment, huge_pages=name == LLAMA_CPP_HUGE_PAGES))
    if environment is not None and not names:
        raise UsageError("--peer without --against", hint=f"Add --against {LLAMA_CPP}.")
    return specs


class Peer(Closing):
    """The engine, running, with one model loaded. Computes only while it is asked.

    Attributes
    ----------
    spec : PeerSpec
        What it is.
    version : str
        As the engine says.
    variants : list of str
        The ways it can do the same work; the fastest counts.
    load_s : float
        To load the model.
    timeout_s : float
        After so many seconds without an answer it is ended.

    Raises
    ------
    PeerError
        It doesn't start, can't load the model, fails, dies, or doesn't answer in time.
    """

    def __init__(
        self, spec: PeerSpec, model: str | Path, *, context: int, timeout_s: float = _TIMEOUT_S
    ) -> None:
        self.spec = spec
        self.timeout_s = timeout_s
        self._late = False
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        command = [str(spec.python), "-I", str(spec.worker), str(model), "--context", str(context)]
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                encoding="utf-8",
                errors="replace",
                env={**os.environ, **spec.environment},
            )
        except OSError as error:
            self._said.close()
            raise PeerError(f"{spec.name}: {spec.python} doesn't start: {error.strerror}") from None
        try:
            about = self._answer("")
            self.version: str = about["version"]
            self.variants: list[str] = about["variants"]
            self.load_s: float = about["load_s"]
        except KeyError as missing:
            self.close()
            raise PeerError(f"{spec.name}: its worker doesn't tell its {missing}") from None
        except BaseException:
            self.close()
            raise

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """The answer to one request, see worker.py.

        Raises
        ------
        PeerError
            It can't be done, or the engine died or doesn't answer in time.
        """
        return self._answer(json.dumps({"op": op, **fields}) + "\n")

    def close(self) -> None:
        """End the process."""
        process = self._process
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):  # what was not sent yet has nobody to go to
                if pipe is not None:
                    pipe.close()
        try:
            process.wait(_CLOSING_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._said.close()

    def _answer(self, request: str) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # Killing it ends whatever this side waits for, to write or to read.
        timer = threading.Timer(self.timeout_s, self._give_up)
        timer.start()
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        if not line.endswith("\n"):
            raise self._death()
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise PeerError(f"{self.spec.name}: its worker writes {line[:80]!r}")
        if "error" in answer:
            raise PeerError(f"{self.spec.name}: {answer['error']}", hint=answer.get("hint"))
        return answer

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()

    def _death(self) -> PeerError:
        if self._late:
            return PeerError(f"{self.spec.name}: no answer within {self.timeout_s:.0f} s")
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        last = f": {said[-1]}" if said else ""
        killed = code == -signal.SIGKILL if hasattr(signal, "SIGKILL") else False
        return PeerError(
            f"{self.spec.name}: its process ended with {_code_in_words(code)}{last}",
            hint="The system may have run out of memory." if killed else None,
        )


@dataclass(frozen=True, slots=True)
class Variant:
    """One way in which a peer does its work, as a contender."""

    peer: Peer
    name: str

    def seconds(self, work: Work) -> float:
        """How long the work alone took, by the peer's own clock.

        Raises
        ------
        PeerError
            As for `Peer`.
        """
        answer = self.peer.ask(
            work.kind,
            variant=self.name,
            threads=work.threads,
            context=work.context,
            n_tokens=work.n_tokens,
        )
        return float(answer["seconds"])


def _code_in_words(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
