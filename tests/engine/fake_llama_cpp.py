"""Stands in for llama-cpp-python in an environment made by tests; strict about what it is asked.

Its clock moves by what it computes: a token takes 1 ms with flash attention, 2 ms without. What it
did is a line of JSON each in the file that FAKE_LOG names. FAKE_FATE makes it die or hang.
"""

import ctypes
import json
import os
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

__version__ = "9.9" + (" hugetlb" if os.environ.get("GLIBC_TUNABLES", "").endswith("=1") else "")
_now = time.perf_counter()
_say = None
time.perf_counter = lambda: _now


def _note(**fields: object) -> None:
    if "FAKE_LOG" in os.environ:
        with Path(os.environ["FAKE_LOG"]).open("a") as file:
            print(json.dumps(fields), file=file)


def llama_log_callback(function):
    return function


def llama_log_set(function, data) -> None:
    global _say
    _say = function


def llama_backend_init() -> None:
    print("a library that prints what nobody asked for")


def llama_model_default_params() -> SimpleNamespace:
    return SimpleNamespace()


def llama_context_default_params() -> SimpleNamespace:
    return SimpleNamespace()


def llama_model_load_from_file(path: bytes, params):
    if not Path(path.decode()).read_bytes().startswith(b"GGUF"):
        _say(4, b"no GGUF file\n", None)
        return None
    return SimpleNamespace()


def llama_model_get_vocab(model):
    return model


def llama_vocab_n_tokens(vocabulary) -> int:
    return 50


def llama_init_from_model(model, params) -> SimpleNamespace:
    return SimpleNamespace(flash=params.flash_attn_type, room=params.n_ctx, held=0, threads=None)


def llama_set_n_threads(context, threads: int, batch_threads: int) -> None:
    assert threads == batch_threads
    context.threads = threads


def llama_get_memory(context):
    return context


def llama_memory_clear(memory, data: bool) -> None:
    memory.held = 0


def llama_memory_seq_rm(memory, sequence: int, first: int, last: int) -> bool:
    assert (sequence, last) == (0, -1)
    memory.held = min(memory.held, first)
    return True


def llama_batch_get_one(ids, count: int):
    assert isinstance(ids, ctypes.Array)
    assert 1 <= count == len(ids) <= 512
    assert all(0 <= id_ < 50 for id_ in ids)
    return SimpleNamespace(n_tokens=count)


def llama_batch_init(count: int, embedding: int, sequences: int) -> SimpleNamespace:
    def column() -> list[int]:
        return [0] * count

    return SimpleNamespace(
        n_tokens=0,
        token=column(),
        pos=column(),
        n_seq_id=column(),
        seq_id=[[0] for _ in range(count)],
        logits=column(),
    )


def llama_batch_free(batch) -> None:
    pass


def llama_decode(context, batch) -> int:
    global _now
    fate = os.environ.get("FAKE_FATE")
    if fate == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif fate == "aborts":
        os.write(2, b"some line\nGGML_ASSERT(n > 0) failed\n")
        os.abort()
    elif fate == "hangs":
        threading.Event().wait()
    elif fate == "raises":
        raise RuntimeError("no such luck")
    if context.held + batch.n_tokens > context.room:
        _say(4, b"no room", None)
        return 1
    _note(flash=context.flash, threads=context.threads, held=context.held, n=batch.n_tokens)
    context.held += batch.n_tokens
    _now += batch.n_tokens * (0.001 if context.flash else 0.002)
    return 0


def llama_get_logits_ith(context, index: int) -> None:
    pass


def llama_get_logits(context):
    return (ctypes.c_float * (context.held * 50))(*range(context.held * 50))


def llama_tokenize(vocabulary, data: bytes, size: int, ids, room: int, *special: bool) -> int:
    assert special == (False, False)
    for i, byte in enumerate(data):
        ids[i] = byte
    return size
