"""The other side of a benchmark: an engine in its own environment, and all that can go wrong."""

from pathlib import Path

import numpy as np
import pytest

from aboard.engine.benchmark import Peer, PeerSpec, Work, llama_cpp, peers_by_name
from aboard.engine.benchmark.peer import Variant
from aboard.errors import PeerError, UsageError
from engine.peers import environment, log

ON, OFF = "flash attention on", "flash attention off"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("peers") / "llama")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    return path


def test_a_peer_says_what_it_is_and_what_it_can_do(home: Path, model: Path) -> None:
    with Peer(llama_cpp(home), model, context=100) as peer:
        assert peer.version == "9.9"
        assert peer.variants == [ON, OFF]
        assert peer.load_s >= 0.0


def test_huge_pages_are_asked_for_by_an_environment_variable(home: Path, model: Path) -> None:
    with Peer(llama_cpp(home, huge_pages=True), model, context=100) as peer:
        assert peer.spec.name == "llama.cpp+hugepages"
        assert peer.version == "9.9 hugetlb"


@pytest.mark.parametrize(("variant", "seconds"), [(ON, 0.03), (OFF, 0.06)])
@pytest.mark.parametrize("kind", ["prompt", "decode"])
def test_only_the_work_itself_is_timed(
    home: Path, model: Path, kind: str, variant: str, seconds: float
) -> None:
    work = Work(kind=kind, threads=2, context=40, n_tokens=30)

    with Peer(llama_cpp(home), model, context=100) as peer:
        took = Variant(peer, variant).seconds(work)

    assert took == pytest.approx(seconds)


def test_work_begins_at_its_context_and_what_is_held_is_used_again(
    home: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAKE_LOG", str(tmp_path / "log"))

    with Peer(llama_cpp(home), model, context=700) as peer:
        variant = Variant(peer, ON)
        variant.seconds(Work(kind="prompt", threads=2, context=600, n_tokens=50))
        variant.seconds(Work(kind="decode", threads=1, context=600, n_tokens=2))
        variant.seconds(Work(kind="decode", threads=1, context=0, n_tokens=1))

    done = [(step["threads"], step["held"], step["n"]) for step in log(tmp_path / "log")]
    assert done == [(2, 0, 512), (2, 512, 88), (2, 600, 50), (1, 600, 1), (1, 601, 1), (1, 0, 1)]


def test_tokens_and_logits_for_other_benchmarks(home: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "logits"

    with Peer(llama_cpp(home), model, context=100) as peer:
        tokens = peer.ask("tokenize", text="abc")["tokens"]
        about = peer.ask("logits", tokens=[1, 2], threads=1, out=str(out))

    assert tokens == [97, 98, 99]
    assert np.fromfile(out, np.float32).reshape(-1, about["n_vocabulary"]).shape == (2, 50)


@pytest.mark.parametrize(
    ("fate", "message"),
    [
        ("killed", "llama.cpp: its process ended with signal 9 (SIGKILL)"),
        ("aborts", "llama.cpp: its process ended with signal 6 (SIGABRT): GGML_ASSERT(n > 0)"),
        ("raises", "llama.cpp: RuntimeError: no such luck"),
        ("hangs", "llama.cpp: no answer within 1 s"),
    ],
)
def test_a_peer_that_fails_is_an_error_not_a_hang(
    home: Path, model: Path, monkeypatch: pytest.MonkeyPatch, fate: str, message: str
) -> None:
    monkeypatch.setenv("FAKE_FATE", fate)
    timeout_s = 1.0 if fate == "hangs" else 60.0
    work = Work(kind="decode", threads=1, context=0, n_tokens=1)

    with Peer(llama_cpp(home), model, context=100) as peer:
        peer.timeout_s = timeout_s
        with pytest.raises(PeerError) as failure:
            Variant(peer, ON).seconds(work)

    assert str(failure.value).startswith(message)


def test_more_than_the_context_holds_is_an_error(home: Path, model: Path) -> None:
    work = Work(kind="prompt", threads=1, context=0, n_tokens=11)

    with Peer(llama_cpp(home), model, context=10) as peer:
        variant = Variant(peer, ON)
        with pytest.raises(PeerError, match="llama_decode failed with 1: no room"):
            variant.seconds(work)


def test_a_model_that_the_peer_cant_load_is_an_error(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.gguf"
    path.write_bytes(b"nothing of the kind")

    with pytest.raises(PeerError, match=r"llama.cpp 9.9 can't load .*other.gguf: no GGUF file"):
        Peer(llama_cpp(home), path, context=10)


def test_an_environment_without_llama_cpp_says_how_to_install_it(
    tmp_path: Path, model: Path
) -> None:
    empty = environment(tmp_path / "empty", with_llama_cpp=False)

    with pytest.raises(PeerError, match="has no llama-cpp-python") as failure:
        Peer(llama_cpp(empty), model, context=10)

    assert "pip install llama-cpp-python" in str(failure.value.hint)


def test_a_python_that_doesnt_start_is_an_error(tmp_path: Path, model: Path) -> None:
    python = tmp_path / "python"
    python.write_text("no program")

    with pytest.raises(PeerError, match="doesn't start"):
        Peer(PeerSpec("other", python), model, context=10)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"hello", "its worker writes 'hello"),
        (b"[1]", r"its worker writes '\[1\]"),
        (b"\xff\xfe", "its worker writes '\ufffd\ufffd"),
        (b"{}", "its worker doesn't tell its 'version'"),
    ],
)
def test_a_worker_that_writes_something_else_is_an_error(
    home: Path, model: Path, line: bytes, message: str
) -> None:
    script = model.with_name("worker.py")
    script.write_text(f"import os; os.write(1, {line!r} + b'\\n')")
    spec = llama_cpp(home)

    with pytest.raises(PeerError, match=message):
        Peer(PeerSpec("other", spec.python, script), model, context=10)


@pytest.mark.parametrize(
    ("names", "home", "message"),
    [
        (["vllm"], "here", "no way to measure against 'vllm'"),
        (["llama.cpp"], None, "where is llama.cpp?"),
        (["llama.cpp"], "nowhere", "nowhere: no virtual environment"),
        ([], "here", "--peer without --against"),
    ],
)
def test_a_peer_that_cant_be_is_refused(names: list[str], home: str | None, message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        peers_by_name(names, home)

    assert str(refusal.value).startswith(message)
    assert refusal.value.hint
