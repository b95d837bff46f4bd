"""`aboard bench`: what it asks for, what it prints, and errors that are one line."""

import json
from dataclasses import replace

import pytest

from aboard.engine import benchmark as instrument
from aboard.engine.benchmark import Plan
from aboard.engine.benchmark.report import (
    Against,
    BenchReport,
    Ceiling,
    HugePages,
    PeerAbout,
    Speed,
    Spread,
)
from aboard.errors import PeerError


def speed(kind: str, **fields: object) -> Speed:
    values = {
        "kind": kind,
        "threads": 2,
        "context": 0,
        "sequences": 1,
        "tokens_per_s": Spread.of([100.0, 300.0, 200.0]),
        "bound_tokens_per_s": Spread.of([400.0, 400.0, 400.0]),
        "bound_fraction": Spread.of([0.25, 0.75, 0.5]),
        "ratio_to_one": None,
        "against": (),
    }
    return Speed(**values | fields)


LLAMA = Against(
    name="llama.cpp",
    baseline="flash attention on",
    tokens_per_s=Spread.of([50.0, 100.0, 80.0]),
    variants={"flash attention on": 80.0, "flash attention off": 70.0},
    ratio=Spread.of([2.0, 3.0, 2.5]),
)
REPORT = BenchReport(
    model="model.gguf",
    processor="A CPU",
    cores=2,
    isa="avx2",
    prompt=512,
    tokens=128,
    rounds=3,
    load_s=0.09,
    first_token_s=0.12,
    peak_rss_bytes=150_000_000,
    kv="f16",
    weight_bytes_per_token=98_000_000,
    kv_bytes_per_token=23_040,
    huge_pages=HugePages(weights=1.0, kv_cache=0.75, probe=1.0, setting="madvise"),
    ceilings=(
        Ceiling(
            threads=1,
            memory_bytes_per_s=Spread.of([30e9, 31e9]),
            integer_ops_per_s=Spread.of([450e9, 460e9]),
        ),
    ),
    speeds=(
        speed("decode", against=(LLAMA,)),
        speed("together", sequences=8, ratio_to_one=Spread.of([4.0, 6.0, 5.0])),
    ),
    peers=(PeerAbout(name="llama.cpp", version="0.3.36", load_s=0.2),),
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the command asks the instrument for."""
    given: dict[str, object] = {}

    def fake(path, plan, *, against, progress) -> BenchReport:
        given.update(path=path, plan=plan, against=against)
        progress("loading the model")
        return REPORT

    monkeypatch.setattr(instrument, "benchmark", fake)
    return given


def test_the_table(call, model_file: str, asked: dict[str, object]) -> None:
    outcome = call("bench", model_file)

    assert outcome.exit_code == 0
    assert outcome.stdout.splitlines() == [
        "machine        A CPU, 2 cores, avx2",
        "first token    120 ms after the start of loading, which takes 90 ms",
        "peak memory    150.0 MB",
        "huge pages     100% of the weights, 75% of the KV cache",
        "a token reads  98.0 MB of weights, 23.0 kB more for each token of context (f16)",
        "1 thread       memory 30.5 (30.0 to 31.0) GB/s, "
        "455 (450 to 460) billion integer operations/s",
        "",
        "threads  context              tokens/s                of the bound      beside",
        "2        0        decode      200.0 (100.0 to 300.0)  50% (25% to 75%)",
        " " * 72 + "2.50 (2.00 to 3.00) of 80.0, llama.cpp, flash attention on",
        "2        0        8 together  200.0 (100.0 to 300.0)  50% (25% to 75%)  "
        "5.00 (4.00 to 6.00) of one alone",
    ]
    assert outcome.stderr == "bench: loading the model\n"
    assert asked["against"] == []


def test_options_become_a_plan(call, model_file: str, asked: dict[str, object]) -> None:
    options = "--threads 1,3..4 --context 2048,0 --prompt 0 --tokens 9 --sequences 8 --rounds 2"

    outcome = call("bench", model_file, *options.split())

    assert outcome.exit_code == 0
    assert asked["plan"] == Plan(
        threads=(1, 3, 4), contexts=(0, 2048), prompt=0, tokens=9, sequences=8, rounds=2
    )


def test_json_holds_every_round(call, model_file: str, asked: dict[str, object]) -> None:
    found = json.loads(call("bench", model_file, "--json").stdout)

    decode, together = found["speeds"]
    assert decode["tokens_per_s"]["rounds"] == [100.0, 300.0, 200.0]
    assert decode["against"][0]["ratio"]["median"] == 2.5
    assert together["ratio_to_one"]["highest"] == 6.0
    assert found["huge_pages"]["kv_cache"] == 0.75


def test_what_nobody_can_say_is_unknown(
    call, model_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = HugePages(weights=None, kv_cache=None, probe=None, setting=None)
    unknown = replace(REPORT, huge_pages=pages, peak_rss_bytes=None)
    monkeypatch.setattr(instrument, "benchmark", lambda *given, **named: unknown)

    lines = call("bench", model_file).stdout.splitlines()

    assert "peak memory    unknown" in lines
    assert "huge pages     unknown" in lines


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        ("--threads two", "'two' is no list of numbers", "Write it as in"),
        ("--threads 0", "threads is 0, expected", None),
        ("--prompt 0 --tokens 0", "nothing is left to measure", "--prompt or --tokens"),
        ("--against llama.cpp", "where is llama.cpp?", "--peer ENV"),
        ("--against vllm --peer here", "no way to measure against 'vllm'", "llama.cpp"),
        (
            "--against llama.cpp --peer nowhere",
            "nowhere: no virtual environment",
            "python3 -m venv",
        ),
        ("--peer here", "--peer without --against", "--against llama.cpp"),
    ],
)
def test_a_wrong_command_line_is_one_line_and_a_hint(
    call, model_file: str, options: str, message: str, hint: str | None
) -> None:
    outcome = call("bench", model_file, *options.split())

    assert outcome.exit_code == 2
    first, *more = outcome.stderr.splitlines()
    assert first.startswith("aboard: ")
    assert message in first
    assert len(more) == (hint is not None)
    assert (hint or "") in "".join(more)


def test_a_peer_that_dies_is_one_line_and_exit_code_1(
    call, model_file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object, **named: object) -> None:
        raise PeerError("llama.cpp: its process ended with signal 9 (SIGKILL)", hint="Memory?")

    monkeypatch.setattr(instrument, "benchmark", fails)

    outcome = call("bench", model_file)

    assert outcome.exit_code == 1
    assert outcome.stderr == (
        "aboard: llama.cpp: its process ended with signal 9 (SIGKILL)\n  Memory?\n"
    )
