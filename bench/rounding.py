"""What does each way of rounding cost, on the same model, in the same bytes?

    python bench/rounding.py MODEL TEXT --oracle ENV [--calibrate TEXT] [--type q4_0] [--layers 10]
                             [--tokens 8192] [--calibration-tokens 12288] [--self-written]

MODEL: an F32 GGUF file of the `llama` architecture, such as bench/quantize_case.py writes; TEXT is
what the ways are judged on. They are: nearest codes; nearest codes on scales for the inputs that
matter; GPTQ on either scales. Calibration is the built-in text, or that of --calibrate, alone. The
oracle is transformers in float32, ENV its environment (tools/oracle_requirements.txt).

Figures: mean KL(oracle || engine) in nats a token, its standard error over chunks of 512, and the
ratio to nearest codes with that of the paired differences.
"""

import argparse
import math
import tempfile
import time
from pathlib import Path

import numpy as np
from engines import record
from quality import CHUNK, oracle_logits, scored

import aboard
from aboard.artifact.quantized import quantize_file
from aboard.checkpoint.gguf import open_gguf
from aboard.engine.layer_engine import LayerEngine
from aboard.engine.self_written import write_on
from aboard.models import describe_model
from aboard.quantize.calibration import Calibration, calibrate, calibration_of
from aboard.quantize.rounding import Method
from aboard.quantize.stages import stages_of

WAYS = {
    "nearest": Method(rounding="nearest", by_importance=False),
    "nearest, by importance": Method(rounding="nearest"),
    "gptq": Method(by_importance=False),
    "gptq, by importance": Method(),
}


def main() -> None:
    """Quantises in every way, prints a table and records a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--oracle", required=True, help="environment of the oracle")
    parser.add_argument("--calibrate", type=Path, help="a text in place of the built-in ones")
    parser.add_argument("--self-written", action="store_true", help="and what the model writes")
    parser.add_argument("--calibration-tokens", type=int, default=12288)
    parser.add_argument("--type", default="q4_0")
    parser.add_argument("--layers", type=int, help="only so many, from the first on")
    parser.add_argument("--tokens", type=int, default=16 * CHUNK)
    parser.add_argument("--ways", nargs="*", default=list(WAYS))
    default_cache = Path(tempfile.gettempdir()) / "aboard-bench"
    parser.add_argument("--cache", type=Path, default=default_cache)
    options = parser.parse_args()

    model = aboard.load(options.model, context=CHUNK)
    tokens = model.tokenizer.encode(options.text.read_text())[: options.tokens // CHUNK * CHUNK]
    oracle = oracle_logits(options, tokens)
    calibration = calibration_for(options, model)
    del model
    assignment = matrices(options.model, options.type.upper(), options.layers)
    found: dict[str, np.ndarray] = {}
    facts: dict[str, object] = {"model": options.model.name, "text": options.text.name}
    for way in options.ways:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / "model.gguf"
            began, computed = time.monotonic(), time.process_time()
            quantize_file(
                options.model,
                out,
                assignment,
                calibration=calibration,
                open_layer=LayerEngine,
                method=WAYS[way],
            )
            wall_s, cpu_s = time.monotonic() - began, time.process_time() - computed
            found[way] = kl_by_chunk(out, oracle, tokens)
        first = found[options.ways[0]]
        mean, error = found[way].mean(), spread(found[way])
        ratio = mean / first.mean()
        off = spread(found[way] - ratio * first) / first.mean()
        print(
            f"{way:24} KL {mean:.5f} +- {error:.5f}  ratio {ratio:.3f} +- {off:.3f}  "
            f"{wall_s:.0f} s, {cpu_s:.0f} s of CPU",
            flush=True,
        )
        facts[way] = {
            "kl": mean,
            "error": error,
            "ratio": ratio,
            "ratio_error": off,
            "cpu_s": cpu_s,
        }
    facts |= {"type": options.type, "layers": options.layers, "n_tokens": len(tokens)}
    facts |= {"calibration": dict(calibration.sources), "calibration_sha256": calibration.sha256}
    record("rounding", baseline="nearest codes", oracle="transformers float32", **facts)


def calibration_for(options: argparse.Namespace, model: aboard.engine.Model) -> Calibration:
    """The tokens that `options` ask for."""
    n_tokens = options.calibration_tokens
    if options.calibrate is not None:
        ids = model.tokenizer.encode(options.calibrate.read_text(), parse_special=False)
        return calibration_of({options.calibrate.name: np.array(ids[:n_tokens], np.int32)})
    if not options.self_written:
        return calibrate(model.tokenizer, model.chat_template, n_tokens=n_tokens)
    return calibrate(
        model.tokenizer,
        model.chat_template,
        generate=lambda beginnings, n, _: write_on(model, beginnings, n),
        n_tokens=n_tokens,
    )


def matrices(path: Path, form: str, layers: int | None) -> dict[str, str]:
    """The matrices of the first layers, all of them to be `form`."""
    with open_gguf(path) as file:
        described = describe_model(file.metadata, frozenset(file.tensors))
    return {
        name: form
        for layer in described.layers[:layers]
        for stage in stages_of(layer)
        for name in stage.tensors
    }


def kl_by_chunk(path: Path, oracle: np.ndarray, tokens: list[int]) -> np.ndarray:
    """The mean KL divergence of each chunk."""
    model = aboard.load(path, context=CHUNK)
    starts = range(0, len(tokens), CHUNK)
    scores = (
        scored(
            oracle[start : start + CHUNK],
            model.logits(tokens[start : start + CHUNK]),
            tokens[start : start + CHUNK],
        )
        for start in starts
    )
    return np.array([each.divergence.mean() for each in scores])


def spread(values: np.ndarray) -> float:
    """The standard error of a mean."""
    return float(values.std(ddof=1) / math.sqrt(values.size))


if __name__ == "__main__":
    main()
