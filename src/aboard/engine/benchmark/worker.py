"""Another engine in a process of its own, told what to do by lines of JSON: peer.py's far side.

    python -I worker.py MODEL --context N

It runs in that engine's environment, so it imports the standard library and that engine alone. As
a script it is llama.cpp, by llama-cpp-python; `serve` makes a worker of any engine. The first line
it writes is {"version", "variants", "load_s"}; every line it reads is answered by one. What can't
be done is {"error", "hint"}, and the end.

    {"op": "prompt", "variant", "threads", "context", "n_tokens"}  -> {"seconds"}
    {"op": "decode", ...the same}                                  -> {"seconds"}
    {"op": "tokenize", "text"}                                     -> {"tokens"}
    {"op": "windows", "windows", "threads"}                        -> {"seconds"}
    {"op": "logits", "tokens", "threads", "out"}     -> {"n_vocabulary"}, (T, V) float32 in a file
"""

from __future__ import annotations

import argparse
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

BATCH = 512


class Trouble(Exception):
    """The engine can't do what it is asked for."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class LlamaCpp:
    """llama.cpp by the functions of its C interface; its defaults but for what is set here.

    The model is loaded once; each variant of attention has a context of its own on it.
    """

    variants = ("flash attention on", "flash attention off")

    def __init__(self, path: str, n_context: int) -> None:
        try:
            # by name: the module belongs to the other engine's environment, not to ours
            self._api: Any = importlib.import_module("llama_cpp")
        except ImportError as error:
            raise Trouble(
                f"{sys.prefix} has no llama-cpp-python ({error})",
                f"Install it there, built for this machine: CMAKE_ARGS=-DGGML_NATIVE=ON "
                f"{sys.executable} -m pip install llama-cpp-python",
            ) from error
        api = self._api
        self.version: str = api.__version__
        self._errors: list[str] = []
        self._log = api.llama_log_callback(self._keep_error)
        api.llama_log_set(self._log, None)
        api.llama_backend_init()
        self._n_context = n_context
        self._model = api.llama_model_load_from_file(
            path.encode(), api.llama_model_default_params()
        )
        if not self._model:
            raise Trouble(f"llama.cpp {self.version} can't load {path}: {self._last_error()}")
        self._vocabulary = api.llama_model_get_vocab(self._model)
        self._n_vocabulary: int = api.llama_vocab_n_tokens(self._vocabulary)
        self._contexts: dict[str, Any] = {}
        self._held: dict[str, int] = {}

    def prompt(self, variant: str, threads: int, context: int, n_tokens: int) -> dict[str, Any]:
        """Seconds of a prompt; logits for its last token."""
        engine = self._filled(variant, threads, context)
        return {"seconds": self._timed(engine, variant, n_tokens, BATCH)}

    def decode(self, variant: str, threads: int, context: int, n_tokens: int) -> dict[str, Any]:
        """Seconds of tokens decoded one by one; logits for each."""
        engine = self._filled(variant, threads, context)
        return {"seconds": self._timed(engine, variant, n_tokens, 1)}

    def tokenize(self, text: str) -> dict[str, Any]:
        """The ids of a text, without special tokens."""
        data = text.encode()
        ids = (ctypes.c_int32 * (len(data) + 8))()
        count = self._api.llama_tokenize(
            self._vocabulary, data, len(data), ids, len(ids), False, False
        )
        if count < 0:
            raise Trouble(f"llama_tokenize wants {-count} places for {len(data)} bytes")
        return {"tokens": list(ids[:count])}

    def logits(self, tokens: list[int], threads: int, out: str) -> dict[str, Any]:
        """Writes the logits after each of `tokens`."""
        engine = self._filled(self.variants[0], threads, 0)
        found = self._all_logits(engine, tokens)
        Path(out).write_bytes(ctypes.string_at(found, 4 * len(tokens) * self._n_vocabulary))
        self._held[self.variants[0]] = len(tokens)
        return {"n_vocabulary": self._n_vocabulary}

    def windows(self, windows: list[list[int]], threads: int) -> dict[str, Any]:
        """Seconds that the logits of all tokens of each window take; nothing is made of them."""
        seconds = 0.0
        for tokens in windows:
            engine = self._filled(self.variants[0], threads, 0)
            began = time.perf_counter()
            self._all_logits(engine, tokens)
            seconds += time.perf_counter() - began
            self._held[self.variants[0]] = len(tokens)
        return {"seconds": seconds}

    def _all_logits(self, engine: Any, tokens: list[int]) -> Any:
        """Where the logits after each of `tokens` lie."""
        n = len(tokens)
        batch = self._api.llama_batch_init(n, 0, 1)
        batch.n_tokens = n
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, True
        self._decode(engine, batch)
        found = self._api.llama_get_logits(engine)
        self._api.llama_batch_free(batch)
        return found

    def _filled(self, variant: str, threads: int, n_tokens: int) -> Any:
        """The context of a variant, holding the first `n_tokens`."""
        api = self._api
        engine = self._contexts.get(variant)
        if engine is None:
            engine = self._contexts[variant] = self._new_context(variant)
            self._held[variant] = 0
        api.llama_set_n_threads(engine, threads, threads)
        memory = api.llama_get_memory(engine)
        if n_tokens < self._held[variant]:
            if n_tokens > 0 and api.llama_memory_seq_rm(memory, 0, n_tokens, -1):
                self._held[variant] = n_tokens
            else:
                api.llama_memory_clear(memory, False)
                self._held[variant] = 0
        self._timed(engine, variant, n_tokens - self._held[variant], BATCH)
        return engine

    def _new_context(self, variant: str) -> Any:
        params = self._api.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = self._n_context, BATCH, BATCH
        params.flash_attn_type = int(variant == self.variants[0])
        params.no_perf = True
        context = self._api.llama_init_from_model(self._model, params)
        if not context:
            raise Trouble(f"llama.cpp {self.version} makes no context: {self._last_error()}")
        return context

    def _timed(self, engine: Any, variant: str, n_tokens: int, step: int) -> float:
        """Seconds that the next `n_tokens` take, `step` at a time."""
        first = self._held[variant]
        ids = [(i * 7919 + 1) % self._n_vocabulary for i in range(first, first + n_tokens)]
        parts = [
            (ctypes.c_int32 * len(ids[i : i + step]))(*ids[i : i + step])
            for i in range(0, n_tokens, step)
        ]
        began = time.perf_counter()
        for part in parts:
            self._decode(engine, self._api.llama_batch_get_one(part, len(part)))
            self._api.llama_get_logits_ith(engine, -1)
        elapsed = time.perf_counter() - began
        self._held[variant] = first + n_tokens
        return elapsed

    def _decode(self, engine: Any, batch: Any) -> None:
        code = self._api.llama_decode(engine, batch)
        if code != 0:
            raise Trouble(f"llama_decode failed with {code}: {self._last_error()}")

    def _keep_error(self, level: int, text: bytes, data: object) -> None:
        if level == 4:  # GGML_LOG_LEVEL_ERROR
            self._errors.append(text.decode(errors="replace").strip())

    def _last_error(self) -> str:
        return self._errors[-1] if self._errors else "it doesn't say why"


def serve(make: Callable[[], Any]) -> None:
    """Makes the engine, says what it is, then answers until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C is the other side's affair
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the replies

    def reply(**fields: object) -> None:
        print(json.dumps(fields), file=replies)

    try:
        began = time.perf_counter()
        engine = make()
        load_s = time.perf_counter() - began
        reply(version=engine.version, variants=list(engine.variants), load_s=load_s)
        for line in sys.stdin:
            request = json.loads(line)
            reply(**getattr(engine, request.pop("op"))(**request))
    except Trouble as trouble:
        reply(error=str(trouble), hint=trouble.hint)
    except Exception as error:  # whatever it is, the other side must hear of it
        reply(error=f"{type(error).__name__}: {error}", hint=None)


def main() -> None:
    """Serves llama.cpp."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--context", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: LlamaCpp(options.model, options.context))


if __name__ == "__main__":
    main()
