"""OpenVINO GenAI as a peer, see src/aboard/engine/benchmark/worker.py; runs in its environment.

    python -I openvino_worker.py MODEL --context N

It has one way to go, and a pipeline for each number of threads. A generation always starts anew,
so a prompt can be timed in an empty context alone, and decoding has one token before it at least.
The times are those of its own metrics: to the first token, and for each token after it.
"""

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "src" / "aboard" / "engine" / "benchmark"))
from worker import Trouble, serve


class OpenVino:
    """Pipelines by number of threads; OpenVINO's defaults but for what is set here."""

    variants = ("default",)

    def __init__(self, path: str) -> None:
        try:
            self._genai: Any = importlib.import_module("openvino_genai")
            self._openvino: Any = importlib.import_module("openvino")
        except ImportError as error:
            hint = f"Install it there: {sys.executable} -m pip install openvino-genai"
            raise Trouble(f"{sys.prefix} has no OpenVINO GenAI ({error})", hint) from error
        self.version: str = self._genai.__version__
        self._path = path
        self._pipelines: dict[int, Any] = {}
        self._pipeline(1)

    def prompt(self, variant: str, threads: int, context: int, n_tokens: int) -> dict[str, float]:
        """Seconds to the first token after a prompt."""
        if context:
            raise Trouble("OpenVINO GenAI can't process a prompt after a context of tokens")
        return {"seconds": self._generate(threads, n_tokens, 1).get_ttft().mean / 1000}

    def decode(self, variant: str, threads: int, context: int, n_tokens: int) -> dict[str, float]:
        """Seconds of the tokens after the first."""
        metrics = self._generate(threads, max(context, 1), n_tokens + 1)
        return {"seconds": n_tokens * metrics.get_tpot().mean / 1000}

    def _generate(self, threads: int, n_prompt: int, n_tokens: int) -> Any:
        """The metrics of one generation."""
        ids = self._openvino.Tensor(self._openvino.Type.i64, [1, n_prompt])
        ids.data[:] = [[(i * 7919 + 1) % 32_000 for i in range(n_prompt)]]
        config = self._genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = n_tokens
        config.ignore_eos = True
        return self._pipeline(threads).generate(ids, config).perf_metrics

    def _pipeline(self, threads: int) -> Any:
        if threads not in self._pipelines:
            try:
                self._pipelines[threads] = self._genai.LLMPipeline(
                    self._path, "CPU", INFERENCE_NUM_THREADS=threads
                )
            except RuntimeError as error:
                why = str(error).strip().splitlines()[-1]
                raise Trouble(f"OpenVINO GenAI can't load {self._path}: {why}") from error
        return self._pipelines[threads]


def main() -> None:
    """Serves OpenVINO GenAI."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("--context", type=int, required=True)
    options = parser.parse_args()
    serve(lambda: OpenVino(options.model))


if __name__ == "__main__":
    main()
