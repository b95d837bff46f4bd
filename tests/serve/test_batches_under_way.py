"""Batches on their way: beside live requests, cancelled, expired, and through ends of a server."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import openai
import pytest

from aboard.engine import Model, load
from aboard.errors import UsageError
from aboard.serve.app import App
from aboard.serve.batch_results import finish
from aboard.serve.keeping.kept import Kept
from aboard.serve.limits import Limits
from serve.batch_asking import CHAT, begun, chat, ended, line, results
from serve.gate import Gate, gated
from serve.running import Running, running
from waiting import SECONDS, until

GOOD = line("a", chat("x"))


def refused(call, **options) -> openai.APIStatusError:
    with pytest.raises(openai.APIStatusError) as caught:
        call(**options)
    return caught.value


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(model_file: Path) -> Iterator[Gate]:
    with gated(load(model_file, threads=1, context=512)) as gate:
        yield gate


@pytest.fixture
def slow(gate: Gate, tmp_path: Path, clock: Clock, model_file: Path) -> Iterator[Running]:
    """A server that computes what the gate lets through, two lines at a time."""
    model = load(model_file, threads=1, context=512)
    gate._real, model.decoder = model.decoder, gate
    with (
        Kept(tmp_path / "data", clock=clock) as kept,
        running(model, kept=kept, limits=Limits(max_sequences=4)) as server,
    ):
        yield server
        gate.open()


def lines(n: int) -> list[dict]:
    return [line(f"{i}", chat(f"text {i}", max_tokens=2)) for i in range(n)]


def answered(client: openai.OpenAI, gate: Gate, id: str, n: int) -> None:
    """Let a batch have so many lines answered, or one more; others are under way then."""
    while client.batches.retrieve(id).request_counts.completed < n:
        gate.step()


def test_a_batch_that_is_cancelled_gives_what_was_answered(slow: Running, gate: Gate) -> None:
    with slow.openai() as client:
        batch = begun(client, lines(8))
        answered(client, gate, batch.id, 2)

        told = client.batches.cancel(batch.id)
        assert told.status in ("cancelling", "cancelled")
        batch = ended(client, batch.id)  # lines under way are not waited for

        assert (batch.status, batch.request_counts.total) == ("cancelled", 8)
        assert batch.cancelled_at >= batch.cancelling_at
        n = batch.request_counts.completed
        assert 2 <= n <= 4
        good, bad = (results(client, each) for each in (batch.output_file_id, batch.error_file_id))
        assert [each["custom_id"] for each in good] == [f"{i}" for i in range(n)]
        assert [(each["custom_id"], each["response"], each["error"]["code"]) for each in bad] == [
            (f"{i}", None, "batch_cancelled") for i in range(n, 8)
        ]
        error = refused(client.batches.cancel, batch_id=batch.id)
        assert (error.status_code, error.code) == (409, "batch_not_cancellable")


def test_a_batch_that_takes_too_long_expires_with_what_was_answered(
    slow: Running, gate: Gate, clock: Clock
) -> None:
    with slow.openai() as client:
        keep = {"anchor": "created_at", "seconds": 7200}
        batch = begun(client, lines(8), output_expires_after=keep)
        answered(client, gate, batch.id, 2)

        clock.now += 24 * 3600
        begun(client, [GOOD])  # the runner looks at all
        batch = ended(client, batch.id)

        assert (batch.status, batch.expired_at) == ("expired", batch.created_at + 24 * 3600)
        n = batch.request_counts.completed
        assert len(results(client, batch.output_file_id)) == n
        codes = [each["error"]["code"] for each in results(client, batch.error_file_id)]
        assert codes == ["batch_expired"] * (8 - n)
        assert client.files.retrieve(batch.output_file_id).expires_at == int(clock.now) + 7200
        clock.now += 7200
        assert refused(client.files.retrieve, file_id=batch.output_file_id).status_code == 404


def test_a_file_that_is_deleted_meanwhile_is_answered_nevertheless(
    slow: Running, gate: Gate
) -> None:
    with slow.openai() as client:
        batch = begun(client, lines(8))
        answered(client, gate, batch.id, 1)
        kept = slow.app.service.kept
        blob = kept.batches.current(batch.id).blob

        client.files.delete(batch.input_file_id)
        assert kept.blobs.path(blob).exists()
        gate.open()

        assert ended(client, batch.id).request_counts.completed == 8
        assert not kept.blobs.path(blob).exists()


def test_live_requests_find_a_place_and_go_first(slow: Running, gate: Gate) -> None:
    with slow.openai() as client:
        batch = begun(client, lines(6))
        gate.wait(1)
        until(lambda: slow.served.scheduler.load.n_requests == 2)  # of four places
        gate.open()
        live = client.chat.completions.create(**chat("live", max_tokens=2))

        assert live.usage.completion_tokens == 2
        assert ended(client, batch.id).request_counts.completed == 6


def test_a_line_makes_room_where_there_is_one_place_alone(
    gate: Gate, tmp_path: Path, model_file: Path
) -> None:
    model = load(model_file, threads=1, context=512)
    gate._real, model.decoder = model.decoder, gate
    with (
        Kept(tmp_path / "data") as kept,
        running(model, kept=kept, limits=Limits(max_sequences=1)) as server,
        server.openai() as client,
        ThreadPoolExecutor() as threads,
    ):
        batch = begun(client, [line("long", chat("text", max_tokens=40))])
        gate.let(5)
        gate.wait(6)
        asked = threads.submit(client.chat.completions.create, **chat("live", max_tokens=2))
        until(lambda: server.served.scheduler.load.n_requests == 2)
        gate.let(5)  # far fewer than the line wants

        live = asked.result(SECONDS)
        assert client.batches.retrieve(batch.id).request_counts.completed == 0
        gate.open()
        told = results(client, ended(client, batch.id).output_file_id)
        alone = client.chat.completions.create(**chat("text", max_tokens=40))

    assert live.usage.completion_tokens == 2
    answer = alone.model_dump(exclude_unset=True)["choices"]
    assert told[0]["response"]["body"]["choices"] == answer


def test_two_batches_take_turns(slow: Running, gate: Gate) -> None:
    with slow.openai() as client:
        first = begun(client, lines(60))
        until(lambda: client.batches.retrieve(first.id).status == "in_progress")
        second = begun(client, [line("a", chat("short", max_tokens=1))])
        answered(client, gate, second.id, 1)

        assert client.batches.retrieve(first.id).request_counts.completed < 30
        gate.open()
        assert ended(client, second.id).status == "completed"
        assert ended(client, first.id).status == "completed"


def test_a_server_that_ends_finishes_its_lines_and_the_next_goes_on(
    gate: Gate, tmp_path: Path, model_file: Path
) -> None:
    model = load(model_file, threads=1, context=512)
    gate._real, model.decoder = model.decoder, gate
    limits = Limits(max_sequences=4)
    with Kept(tmp_path / "data") as kept:
        with running(model, kept=kept, limits=limits) as server, server.openai() as client:
            batch = begun(client, lines(8))
            answered(client, gate, batch.id, 2)
            n_answered = kept.batches.current(batch.id).completed
            server.server.handle_exit(15, None)  # as by SIGTERM, with two lines under way
            gate.open()
        n_before = kept.batches.current(batch.id).completed
        assert kept.batches.current(batch.id).status == "in_progress"
        n_passes = gate.n_passes
        with running(model, kept=kept, limits=limits) as server, server.openai() as client:
            batch = ended(client, batch.id)
            told = results(client, batch.output_file_id)

    assert n_answered < n_before <= n_answered + 2
    assert [each["custom_id"] for each in told] == [f"{i}" for i in range(8)]
    assert [each["id"] for each in told] == list(dict.fromkeys(each["id"] for each in told))
    assert gate.n_passes > n_passes


def test_a_server_that_is_told_twice_waits_for_no_line(slow: Running, gate: Gate) -> None:
    kept, runner = slow.app.service.kept, slow.app.service.batches
    with slow.openai() as client:
        batch = begun(client, lines(8))
        answered(client, gate, batch.id, 1)
        slow.server.handle_exit(15, None)
        until(lambda: runner._work.done())
        assert runner.busy  # its lines wait at the gate

        slow.server.handle_exit(15, None)
        until(lambda: not runner.busy)

    assert kept.batches.current(batch.id).status == "in_progress"


def test_a_disk_that_is_full_for_a_while_loses_no_line(
    keeper: openai.OpenAI,
    keeping: Running,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from aboard.errors import StorageFull

    kept = keeping.app.service.kept
    failed: list[int] = []

    def full(number: int, answers: object) -> None:
        failed.append(number)
        raise StorageFull("full")

    monkeypatch.setattr(kept.batches, "answer", full)
    batch = begun(keeper, lines(3))
    until(lambda: failed)
    monkeypatch.undo()
    runner = keeping.app.service.batches
    while keeper.batches.retrieve(batch.id).status != "completed":
        begun(keeper, [GOOD])  # the runner looks again

    assert runner.endpoints.keys() >= {CHAT, "/v1/completions", "/v1/embeddings"}
    told = results(keeper, keeper.batches.retrieve(batch.id).output_file_id)
    assert [each["custom_id"] for each in told] == ["0", "1", "2"]
    facts = [each.facts for each in caplog.records if each.msg == "a batch can't go on"]
    assert {"batch": batch.id, "reason": "full"} in facts


def test_a_batch_that_has_ended_stays_as_it_is(
    keeper: openai.OpenAI, keeping: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = keeping.app.service.kept
    batch = ended(keeper, begun(keeper, [GOOD]).id)
    stale = replace(kept.batches.current(batch.id), status="finalizing")
    under_way = kept.batches.under_way
    monkeypatch.setattr(kept.batches, "under_way", lambda: [stale, *under_way()])

    ended(keeper, begun(keeper, [GOOD]).id)  # the runner looks, and sees what was before
    until(lambda: not keeping.app.service.batches.busy)

    assert keeper.batches.retrieve(batch.id) == batch
    assert len(results(keeper, batch.output_file_id)) == 1
    with pytest.raises(UsageError, match="ended"):
        finish(kept, stale, 1000)
    assert keeper.batches.retrieve(batch.id) == batch


def test_lines_that_somebody_took_away_end_their_batch(
    slow: Running, gate: Gate, tmp_path: Path
) -> None:
    kept = slow.app.service.kept
    with slow.openai() as client:
        batch = begun(client, lines(8))
        answered(client, gate, batch.id, 2)
        slow.server.handle_exit(15, None)
        gate.open()
        until(lambda: not slow.app.service.batches.busy)
        kept.blobs.path(kept.batches.current(batch.id).blob).unlink()
    with running(slow.served.model, kept=kept) as server, server.openai() as client:
        batch = ended(client, batch.id)
        told = results(client, batch.output_file_id)

    assert (batch.status, batch.error_file_id) == ("expired", None)
    assert len(told) == batch.request_counts.completed >= 2


def test_a_batch_waits_for_the_model_that_it_asks(
    slow: Running, gate: Gate, model: Model, tmp_path: Path
) -> None:
    with slow.openai() as client:
        batch = begun(client, lines(8))
        answered(client, gate, batch.id, 1)
        slow.server.handle_exit(15, None)
        gate.open()
        kept = slow.app.service.kept
        until(lambda: not slow.app.service.batches.busy)
    with running(model, kept=kept, name="other") as server, server.openai() as client:
        other = ended(client, begun(client, [line("a", chat("x", model="other"))]).id)
        waiting = client.batches.retrieve(batch.id)
    with running(model, kept=kept) as server, server.openai() as client:
        counts = ended(client, batch.id).request_counts

    assert (other.status, waiting.status) == ("completed", "in_progress")
    assert (counts.completed, counts.failed) == (8, 0)


def test_without_a_folder_there_is_no_runner(model: Model) -> None:
    from aboard.serve.served import ServedModels, served

    app = App(ServedModels([served(model, "tiny")]))

    assert app.service.keeps is False
    assert json.loads(json.dumps([each.path for each in app.endpoints])).count("/v1/batches") == 2
