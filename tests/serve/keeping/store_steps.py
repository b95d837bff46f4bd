"""A server's work on its folder, killed at each of its steps in turn; prints what was found.

Run as a program: it forks, so that no thread and no test stands by.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

from aboard.serve.batch_results import finish
from aboard.serve.keeping.batches import LineAnswer
from aboard.serve.keeping.files import NewFile
from aboard.serve.keeping.kept import Kept

CONTENTS = (b"first" * 1000, b"second", b"first" * 1000)
LINE = '{"custom_id":"%d","method":"POST","url":"/u","body":{}}'


class Steps:
    """Counts what touches the disk; kills its own process at the one that is given."""

    def __init__(self, last: int) -> None:
        self._left = last

    def __call__(self, *_: object) -> None:
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def created(kept: Kept, data: bytes, purpose: str = "user_data") -> str:
    with kept.files.receive() as incoming:
        incoming.write(data)
        new = NewFile(owner="me", purpose=purpose, filename="f")
        return kept.files.create(new, incoming).id


def work(folder: Path, told: int, step: Steps) -> None:
    """Everything that a server does; what it tells a client of goes to `told`, a line each."""

    def tell(**facts: object) -> None:
        os.write(told, json.dumps(facts).encode() + b"\n")

    sys.addaudithook(lambda event, _: step() if event in ("open", "os.rename", "os.remove") else 0)
    with Kept(folder) as kept:
        kept.database._connection.execute("PRAGMA synchronous = OFF")
        kept.database._connection.set_trace_callback(step)
        ids = [created(kept, data) for data in CONTENTS]
        tell(files=ids)
        tell(deleting=ids[0])
        kept.files.delete("me", ids[0])
        tell(deleted=ids[0])
        lines = "\n".join(LINE % i for i in range(3)).encode()
        file = kept.files.get("me", created(kept, lines, "batch"))
        batch = kept.batches.create(file, endpoint="/u", metadata=None, keep_output_s=None)
        tell(batch=batch.id)
        kept.batches.begin(batch.id, total=3, model="m")
        for i in (1, 2, 3):
            kept.batches.answer(batch.number, [LineAnswer(i, i != 2, f"answer {i}")])
            tell(answered=i)
        kept.batches.finalize(batch.id)
        finish(kept, kept.batches.current(batch.id), 1000)
        tell(ended=batch.id)


def check(folder: Path, told: list[dict]) -> None:
    """What the next server finds is whole, and has all that was told."""
    facts = {name: value for each in told for name, value in each.items()}
    with Kept(folder) as kept:
        files = kept.files.page("me", after=None, limit=99, newest_first=False, purpose=None)
        batches = kept.batches.page("me", after=None, limit=99)
        names = {path.name for path in kept.blobs.path("x").parent.iterdir()}
        for file in files:
            data = kept.blobs.path(file.blob).read_bytes()
            assert hashlib.sha256(data).hexdigest() == file.blob
            assert len(data) == file.size_bytes
        assert names == {file.blob for file in files} | {b.blob for b in batches if b.blob}
        assert not list((folder / "incoming").iterdir())
        there = {file.id for file in files}
        gone = {facts.get("deleting")}
        assert set(facts.get("files", ())) - gone <= there
        assert facts.get("deleted") not in there
        for batch in batches:
            n_told = sum("answered" in each for each in told)
            if batch.status == "in_progress":
                answered = kept.batches.answered(batch.number)
                assert set(range(1, n_told + 1)) <= answered
                assert batch.completed + batch.failed == len(answered)
                for line in sorted({1, 2, 3} - answered):
                    kept.batches.answer(
                        batch.number, [LineAnswer(line, line != 2, f"answer {line}")]
                    )
                kept.batches.answer(batch.number, [LineAnswer(1, True, "again")])
                kept.batches.finalize(batch.id)
            elif batch.status == "validating":
                continue
            if kept.batches.current(batch.id).status == "finalizing":
                finish(kept, kept.batches.current(batch.id), 1000)
            check_ended(kept, batch.id)


def check_ended(kept: Kept, id: str) -> None:
    batch = kept.batches.current(id)
    assert (batch.status, batch.completed, batch.failed) == ("completed", 2, 1)
    texts = []
    for file_id in (batch.output_file_id, batch.error_file_id):
        file = kept.files.get("me", file_id)
        texts.append(kept.blobs.path(file.blob).read_text())
    assert texts == ["answer 1\nanswer 3\n", "answer 2\n"]
    assert not kept.batches.answered(batch.number)


def main(root: Path) -> None:
    os.fsync = lambda _: None  # a kill, unlike a loss of power, takes nothing back; it is faster
    n = 0
    while True:
        n += 1
        folder = root / str(n)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            work(folder, writing, Steps(n))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading) as told:
            lines = [json.loads(each) for each in told.read().splitlines()]
        _, status = os.waitpid(child, 0)
        check(folder, lines)
        if not os.WIFSIGNALED(status):
            break
    assert os.WEXITSTATUS(status) == 0
    print(json.dumps({"n_kills": n - 1, "told": len(lines)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
