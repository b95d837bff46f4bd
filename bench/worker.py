"""One engine in one process, driven by lines of JSON on stdin: so that each runs in its own
environment, stays warm, and computes only while it is asked.

    python bench/worker.py aboard|llama MODEL --threads N --context N [--flash on|off]
                           [--kv f16|int8]

Requests: {"op": "prompt", "tokens": [...]}          -> {"seconds": s}
          {"op": "decode", "prompt": [...], "tokens": [...]}  -> {"seconds": s}
          {"op": "logits", "tokens": [...], "out": PATH}      -> {"seconds": s}, (T, V) in a .npy
          {"op": "tokenize", "text": "..."}                   -> {"tokens": [...]}
"""

import argparse
import ctypes
import json
import os
import sys
import time
from typing import Any

import numpy as np


class Aboard:
    """Our engine."""

    def __init__(self, path: str, threads: int, context: int, flash: str, kv: str) -> None:
        import aboard

        self.model = aboard.load(path, threads=threads, context=context, kv=kv)
        self.session = self.model.session()
        self.version = aboard.__version__

    def reset(self) -> None:
        self.session.reset()

    def prefill(self, tokens: list[int]) -> None:
        self.session.prefill(tokens)

    def step(self, token: int) -> None:
        self.session.decode(token)

    def logits(self, tokens: list[int]) -> np.ndarray:
        return self.model.logits(tokens)

    def tokenize(self, text: str) -> list[int]:
        return self.model.tokenizer.encode(text, add_special=False, parse_special=False)


class Llama:
    """llama.cpp by the functions of its C interface; its defaults but for what is set here."""

    def __init__(self, path: str, threads: int, context: int, flash: str, kv: str) -> None:
        import llama_cpp

        self.api = llama_cpp
        self.version = llama_cpp.__version__
        self._quiet = llama_cpp.llama_log_callback(lambda level, text, data: None)
        llama_cpp.llama_log_set(self._quiet, None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(
            path.encode(), llama_cpp.llama_model_default_params()
        )
        params = llama_cpp.llama_context_default_params()
        params.n_ctx, params.n_batch, params.n_ubatch = context, 512, 512
        params.n_threads = params.n_threads_batch = threads
        params.flash_attn_type = {"off": 0, "on": 1}[flash]
        params.no_perf = True
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.n_vocabulary = llama_cpp.llama_vocab_n_tokens(self.vocabulary)

    def reset(self) -> None:
        self.api.llama_memory_clear(self.api.llama_get_memory(self.context), False)

    def prefill(self, tokens: list[int]) -> None:
        for start in range(0, len(tokens), 512):
            self._run(tokens[start : start + 512])
        self.api.llama_get_logits_ith(self.context, -1)

    def step(self, token: int) -> None:
        self._run([token])
        self.api.llama_get_logits_ith(self.context, -1)

    def logits(self, tokens: list[int]) -> np.ndarray:
        self.reset()
        n = len(tokens)
        batch = self.api.llama_batch_init(n, 0, 1)
        batch.n_tokens = n
        for i, token in enumerate(tokens):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, i, 1
            batch.seq_id[i][0], batch.logits[i] = 0, True
        if self.api.llama_decode(self.context, batch) != 0:
            raise RuntimeError("llama_decode failed")
        found = self.api.llama_get_logits(self.context)
        logits = np.ctypeslib.as_array(found, shape=(n, self.n_vocabulary)).copy()
        self.api.llama_batch_free(batch)
        return logits

    def tokenize(self, text: str) -> list[int]:
        data = text.encode()
        ids = (ctypes.c_int32 * (len(data) + 8))()
        count = self.api.llama_tokenize(
            self.vocabulary, data, len(data), ids, len(ids), False, False
        )
        if count < 0:
            raise RuntimeError(f"llama_tokenize wants {-count} places")
        return list(ids[:count])

    def _run(self, tokens: list[int]) -> None:
        ids = (ctypes.c_int32 * len(tokens))(*tokens)
        if self.api.llama_decode(self.context, self.api.llama_batch_get_one(ids, len(ids))) != 0:
            raise RuntimeError("llama_decode failed")


def answer(engine: Aboard | Llama, request: dict[str, Any]) -> dict[str, Any]:
    """The reply to one request. Only the named work is timed."""
    op = request["op"]
    if op == "tokenize":
        return {"tokens": engine.tokenize(request["text"])}
    if op == "logits":
        start = time.perf_counter()
        logits = engine.logits(request["tokens"])
        seconds = time.perf_counter() - start
        np.save(request["out"], logits)
        return {"seconds": seconds}
    engine.reset()
    if op == "decode":
        engine.prefill(request["prompt"])
        start = time.perf_counter()
        for token in request["tokens"]:
            engine.step(token)
    elif op == "prompt":
        start = time.perf_counter()
        engine.prefill(request["tokens"])
    else:
        raise ValueError(f"unknown op {op!r}")
    return {"seconds": time.perf_counter() - start}


def main() -> None:
    """Loads, says what it is, then answers until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("engine", choices=("aboard", "llama"))
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--context", type=int, default=1024)
    parser.add_argument("--flash", choices=("on", "off"), default="on")
    parser.add_argument("--kv", choices=("f16", "int8"), default="f16", help="of aboard")
    options = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not mix with the replies
    start = time.perf_counter()
    make = Aboard if options.engine == "aboard" else Llama
    engine = make(options.model, options.threads, options.context, options.flash, options.kv)
    seconds = time.perf_counter() - start
    print(json.dumps({"version": engine.version, "load_seconds": seconds}), file=replies)
    for line in sys.stdin:
        print(json.dumps(answer(engine, json.loads(line))), file=replies)


if __name__ == "__main__":
    main()
