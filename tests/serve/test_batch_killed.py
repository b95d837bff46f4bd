"""A real server killed in the middle of a batch: the next one goes on, line by line."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest

from serve.batch_asking import begun, chat, ended, line, results, strict
from waiting import until

PROGRAM = "from aboard.cli import main; main()"
N = 60


@contextmanager
def serving(model_file: Path, folder: Path) -> Iterator[tuple[openai.OpenAI, subprocess.Popen]]:
    command = [sys.executable, "-c", PROGRAM, "serve", str(model_file)]
    program = subprocess.Popen(
        [
            *command,
            "--port",
            "0",
            "--data",
            str(folder),
            "--max-sequences",
            "2",
            "--threads",
            "1",
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "ABOARD_API_KEY": ""},
    )
    try:
        url = json.loads(program.stdout.readline())["url"]
        with openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
            yield client, program
        program.terminate()
    finally:
        program.wait()
        program.stdout.close()


@pytest.fixture
def lines() -> list[dict]:
    return [
        line(f"{i}", chat(f"text {i}", max_tokens=40, temperature=1.0, n=1 + i % 2))
        for i in range(N)
    ]


def test_lines_are_answered_once_each_through_kills(
    model_file: Path, tmp_path: Path, lines: list[dict]
) -> None:
    batch_id, answered = "", []
    for n_wanted in (3, 9, 15):
        with serving(model_file, tmp_path) as (client, program):
            batch_id = batch_id or begun(client, lines).id
            answered.append(once_answered(client, batch_id, n_wanted))
            program.send_signal(signal.SIGKILL)
    with serving(model_file, tmp_path) as (client, program):
        assert client.batches.retrieve(batch_id).request_counts.completed >= answered[-1]
        batch = ended(client, batch_id)
        told = results(client, batch.output_file_id)
        alone = [
            client.chat.completions.create(**each["body"], seed=seed_of(batch_id, i))
            for i, each in enumerate(lines, start=1)
        ]

    assert answered[-1] < N  # it was killed before its end
    assert (batch.status, batch.request_counts.completed) == ("completed", N)
    assert [each["custom_id"] for each in told] == [f"{i}" for i in range(N)]
    for each, live in zip(told, alone, strict=True):
        got = strict(each["response"]["body"])
        assert got["choices"] == strict(live.model_dump(exclude_unset=True))["choices"]
    assert program.returncode == 0


def once_answered(client: openai.OpenAI, batch_id: str, n_wanted: int) -> int:
    """How many lines are answered, once there are so many."""

    def n_answered() -> int:
        return client.batches.retrieve(batch_id).request_counts.completed

    until(lambda: n_answered() >= n_wanted)
    return n_answered()


def seed_of(batch: str, number: int) -> int:
    from hashlib import sha256

    return int(sha256(f"{batch}:{number}".encode()).hexdigest()[:16], 16) % 2**63
