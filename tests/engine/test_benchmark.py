"""The instrument: what it measures, in which order, and what it says of the machine."""

from pathlib import Path

import pytest

import aboard
from aboard.engine.benchmark import OwnEngine, Plan, Work, benchmark, ceilings, counts, llama_cpp
from aboard.engine.benchmark import machine as about
from aboard.engine.device import usable_cores
from aboard.errors import ContextOverflow, UsageError
from engine.made import SMALL, made
from engine.peers import environment, log


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ceilings, "_BUFFER_BYTES", 1 << 20)
    return made(tmp_path / "model.gguf")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2", (2,)),
        ("1,2,4", (1, 2, 4)),
        ("1..3", (1, 2, 3)),
        ("1..N", (1, 2, 3, 4, 5, 6)),
        ("0, 512..513", (0, 512, 513)),
    ],
)
def test_lists_of_numbers(text: str, expected: tuple[int, ...]) -> None:
    assert counts(text, 6) == expected


@pytest.mark.parametrize("text", ["", "two", "1,", "1..", "..2", "-1", "1-2", "N", "9" * 5000])
def test_what_is_no_list_of_numbers_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="no list of numbers"):
        counts(text, 6)


@pytest.mark.parametrize(("text", "what"), [("4..1", "4..1"), ("1, 8..N", "8..N")])
def test_a_list_that_counts_down_is_refused_rather_than_empty(text: str, what: str) -> None:
    with pytest.raises(UsageError, match=f"'{what}' counts down"):
        counts(text, 6)


@pytest.mark.parametrize("text", ["1..1000000000000", "1..600,1..600"])
def test_a_list_of_more_numbers_than_can_be_measured_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="more than 1,024 numbers"):
        counts(text, 6)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"threads": (0,)}, "threads is 0"),
        ({"threads": (2000,)}, "threads is 2000"),
        ({"contexts": (-1,)}, "context is -1"),
        ({"contexts": ()}, "context: an empty list"),
        ({"prompt": -1}, "prompt is -1"),
        ({"rounds": 0}, "rounds is 0"),
        ({"sequences": 0}, "sequences is 0"),
        ({"prompt": 0, "tokens": 0}, "nothing is left to measure"),
        ({"sequences": 2, "tokens": 0}, "0 tokens to decode"),
    ],
)
def test_a_plan_that_cant_be_is_refused(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Plan(**fields)


def test_every_kind_of_work_is_measured_in_every_context_with_every_number_of_threads(
    model: Path,
) -> None:
    plan = Plan(threads=(2, 1), contexts=(8, 0), prompt=5, tokens=3, sequences=2, rounds=3)

    report = benchmark(model, plan)

    measured = [(speed.context, speed.threads, speed.kind) for speed in report.speeds]
    kinds = ("prompt", "decode", "together")
    assert measured == [(c, t, k) for c in (0, 8) for t in (1, 2) for k in kinds]
    for speed in report.speeds:
        assert len(speed.tokens_per_s.rounds) == len(speed.bound_fraction.rounds) == 3
        assert 0 < speed.tokens_per_s.lowest <= speed.tokens_per_s.median
        assert speed.tokens_per_s.median <= speed.tokens_per_s.highest
        assert speed.sequences == (2 if speed.kind == "together" else 1)
        assert (speed.ratio_to_one is not None) == (speed.kind == "together")
    assert [ceiling.threads for ceiling in report.ceilings] == [1, 2][: usable_cores()]
    assert report.peak_rss_bytes > report.weight_bytes_per_token
    assert 0 < report.load_s < report.first_token_s


def test_a_fraction_of_the_bound_is_speed_over_what_the_machine_allows(model: Path) -> None:
    report = benchmark(model, Plan(threads=(1,), contexts=(4,), prompt=6, tokens=4, rounds=2))

    prompt, decode = report.speeds
    for speed in (prompt, decode):
        pairs = zip(speed.tokens_per_s.rounds, speed.bound_tokens_per_s.rounds, strict=True)
        assert speed.bound_fraction.rounds == pytest.approx([ours / bound for ours, bound in pairs])
    (ceiling,) = report.ceilings
    # layers alone: query and output 32 x 32, key and value 16 x 32, three of 48 x 32
    operations = 2 * (2 * 32 * 32 + 2 * 16 * 32 + 3 * 48 * 32)
    read = report.weight_bytes_per_token + 6 * report.kv_bytes_per_token
    assert set(prompt.bound_tokens_per_s.rounds) <= {
        peak / operations for peak in ceiling.integer_ops_per_s.rounds
    }
    assert set(decode.bound_tokens_per_s.rounds) <= {
        bandwidth / read for bandwidth in ceiling.memory_bytes_per_s.rounds
    }


def test_leaving_out_prompt_or_decoding(model: Path) -> None:
    decode = benchmark(model, Plan(threads=(1,), prompt=0, tokens=2, rounds=1))
    prompt = benchmark(model, Plan(threads=(1,), prompt=2, tokens=0, rounds=1))

    assert [speed.kind for speed in decode.speeds] == ["decode"]
    assert [speed.kind for speed in prompt.speeds] == ["prompt"]


def test_more_tokens_than_the_context_are_refused_before_anything_is_loaded(model: Path) -> None:
    told: list[str] = []

    with pytest.raises(ContextOverflow, match="65 tokens, the model's context holds 64"):
        benchmark(
            model, Plan(threads=(1,), contexts=(60,), prompt=5, tokens=1), progress=told.append
        )

    assert told == []


def test_the_faster_variant_of_a_peer_is_the_baseline_of_every_round(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))
    home = environment(tmp_path / "llama")
    plan = Plan(threads=(1,), contexts=(8,), prompt=0, tokens=3, rounds=2)

    report = benchmark(model, plan, against=[llama_cpp(home), llama_cpp(home, huge_pages=True)])

    (decode,) = report.speeds
    assert [other.name for other in decode.against] == ["llama.cpp", "llama.cpp+hugepages"]
    for other in decode.against:
        assert other.baseline == "flash attention on"
        assert other.tokens_per_s.median == pytest.approx(1000)
        assert other.variants == pytest.approx(
            {"flash attention on": 1000, "flash attention off": 500}
        )
        ours = decode.tokens_per_s.rounds
        assert other.ratio.rounds == pytest.approx([rate / 1000 for rate in ours])
    assert [peer.version for peer in report.peers] == ["9.9", "9.9 hugetlb"]
    # a round to warm up and two that count, three tokens each; the context is filled but once
    done = [step["n"] for step in log(tmp_path / "log")]
    assert sorted(done) == 4 * 9 * [1] + 4 * [8]


def test_our_engine_works_from_the_context_it_is_told(model: Path) -> None:
    loaded = aboard.load(model, threads=1)

    with OwnEngine(loaded) as own:
        own.seconds(Work(kind="prompt", threads=2, context=10, n_tokens=5))
        after_prompt = own.session.n_tokens
        own.seconds(Work(kind="decode", threads=1, context=10, n_tokens=3))
        after_decode = own.session.tokens
        fresh = loaded.session()
        fresh.prefill(after_decode)

    assert after_prompt == 15
    assert len(after_decode) == 13
    assert list(after_decode) == [(i * 7919 + 1) % SMALL.vocabulary for i in range(13)]
    assert loaded.threads == 1


SMAPS = """\
7f0000000000-7f0000400000 rw-p 00000000 00:00 0
Rss:                4096 kB
AnonHugePages:      2048 kB
VmFlags: rd wr hg
7f0000400000-7f0000800000 rw-p 00000000 00:00 0
Rss:                1024 kB
AnonHugePages:         0 kB
7f0000c00000-7f0001000000 r--p 00000000 08:01 12 /usr/lib/libc.so
Rss:                 512 kB
AnonHugePages:         0 kB
"""


@pytest.mark.parametrize(
    ("extents", "expected"),
    [
        ([(0x7F0000000000, 0x400000)], 0.5),
        ([(0x7F0000300000, 0x1000)], 0.5),
        ([(0x7F0000400000, 0x400000)], 0.0),
        ([(0x7F0000000000, 0x800000)], 0.4),
        ([(0x7F0000000000, 1), (0x7F0000C00000, 1)], 2048 / 4608),
        ([(0x7F0000800000, 0x400000)], None),
        ([], None),
    ],
)
def test_the_part_on_huge_pages_is_counted_over_the_mappings_that_are_touched(
    tmp_path: Path, extents: list[tuple[int, int]], expected: float | None
) -> None:
    smaps = tmp_path / "smaps"
    smaps.write_text(SMAPS)

    assert about.huge_page_fraction(extents, smaps) == expected


def test_what_the_system_doesnt_tell_is_unknown(tmp_path: Path) -> None:
    assert about.huge_page_fraction([(0, 1)], tmp_path / "smaps") is None
    assert about.huge_page_setting(tmp_path / "enabled") is None
    assert about.processor(tmp_path / "cpuinfo")


def test_the_systems_words_are_read(tmp_path: Path) -> None:
    (tmp_path / "enabled").write_text("always [madvise] never\n")
    (tmp_path / "status").write_text("Name:\tpython\nVmPeak:\t 900 kB\nVmHWM:\t    12 kB\n")
    cpuinfo = "processor\t: 0\ncpu family\t: 25\nmodel\t\t: 1\nmodel name\t: A CPU\n"
    (tmp_path / "cpuinfo").write_text(cpuinfo)

    assert about.huge_page_setting(tmp_path / "enabled") == "madvise"
    assert about.peak_rss_bytes(tmp_path / "status") == 12 * 1024
    assert about.processor(tmp_path / "cpuinfo") == "A CPU (family 25, model 1)"


def test_the_memory_of_weights_and_cache_is_found_in_the_real_mappings(model: Path) -> None:
    if not Path("/proc/self/smaps").exists():
        pytest.skip("only Linux tells")
    loaded = aboard.load(model, threads=1)

    with loaded.session() as session:
        session.prefill([1, 2, 3])
        fractions = [
            about.huge_page_fraction(loaded.decoder.weight_memory),
            about.huge_page_fraction(loaded.decoder.kv_memory()["extents"]),
        ]

    assert all(0 <= fraction <= 1 for fraction in fractions)
