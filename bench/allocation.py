"""What do allocated bits gain over llama.cpp's recipe with an importance matrix, at equal bytes?

    python bench/allocation.py MODEL TEXT --llama ENV [--types Q4_K_M Q3_K_M] [--sequences 16]
                               [--share 1.0 0.8] [--same-types] [--nearest] --folder DIR

MODEL: an F32 or F16 GGUF file, such as bench/quantize_case.py writes; TEXT is what all are judged
on. llama.cpp (llama-cpp-python in ENV) gets importances of the very calibration that ours has.
Ours is as large as its file, times each of --share; with --same-types, another one has its very
types, and only codes and scales are ours; --nearest adds one that is all of Q4_0, nearest codes.

Figures: KL divergence from MODEL in nats a token, paired over sequences, by `aboard eval`.
Files that are in --folder already are taken as they are.
"""

import argparse
import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from engines import record

from aboard.artifact.quantized import quantize_file
from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.gguf import open_gguf
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.engine.benchmark.peer import python_of
from aboard.engine.layer_engine import LayerEngine
from aboard.evaluate import evaluate
from aboard.fitting import Budget, quantize_checkpoint
from aboard.fitting.checkpoint import open_checkpoint
from aboard.quantize.calibration import calibrate
from aboard.quantize.gram import square_sums
from aboard.quantize.passes import embed, filled, rows_of_source
from aboard.quantize.stages import stages_of


def main() -> None:
    """Makes the files, prints a table and records a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--llama", required=True, help="environment of llama-cpp-python")
    parser.add_argument("--types", nargs="*", default=["Q4_K_M"])
    parser.add_argument("--share", nargs="*", type=float, default=[1.0, 0.8])
    parser.add_argument("--same-types", action="store_true")
    parser.add_argument("--nearest", action="store_true")
    parser.add_argument("--sequences", type=int, default=16)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    importances = options.folder / "importances.npz"
    if not importances.exists():
        np.savez(importances, **importances_of(options.model))
    files = {"Q4_0, nearest": nearest(options, "q4_0")} if options.nearest else {}
    for kind in options.types:
        peer = by_llama(options, kind, importances)
        files[f"llama.cpp {kind}"] = peer
        if options.same_types:
            files[f"ours, types of {kind}"] = of_its_types(options, kind, peer)
        for share in options.share:
            name = f"ours, {share:.0%} of {kind}"
            files[name] = ours(options, kind, round(share * peer.stat().st_size), share)
    facts = {name: judged(options, name, path) for name, path in files.items()}
    record("allocation", baseline="llama.cpp with imatrix", model=options.model.name, files=facts)


def importances_of(path: Path) -> dict[str, np.ndarray]:
    """The mean squares of what the matrices of the layers are multiplied with, by tensor."""
    found: dict[str, np.ndarray] = {}
    with ExitStack() as opened:
        source = open_checkpoint(path, opened)
        metadata = source.file.metadata
        template = ChatTemplate.from_gguf(metadata)
        windows = calibrate(Tokenizer.from_gguf(metadata), template).windows
        model = source.model
        hidden = embed(model, windows, rows_of_source(source.weights, model.embedding.name))
        for index, described in enumerate(model.layers):
            layer = filled(LayerEngine(model, index), source.weights)
            for stage in stages_of(described):
                pieces = list(layer.inputs(stage.half, stage.inner, hidden))
                squares = sum(square_sums(piece) for piece in pieces)
                for name in stage.tensors:
                    found[name] = (squares / windows.size).astype(np.float32)
                if stage.inner:
                    layer.run(stage.half, hidden)
    return found


def by_llama(options: argparse.Namespace, kind: str, importances: Path) -> Path:
    """llama.cpp's file of a type."""
    path = options.folder / f"llama-{kind}.gguf"
    if not path.exists():
        child = Path(__file__).with_name("llama_quantize.py")
        subprocess.run(
            [python_of(options.llama), child, options.model, path, kind, importances], check=True
        )
    return path


def nearest(options: argparse.Namespace, kind: str) -> Path:
    """All matrices of a type, by nearest codes."""
    from aboard.artifact.importing import import_checkpoint

    path = options.folder / f"nearest-{kind}.gguf"
    if not path.exists():
        import_checkpoint(options.model, path, type=kind)
    return path


def of_its_types(options: argparse.Namespace, kind: str, peer: Path) -> Path:
    """Ours, each matrix of the type that it has in the peer's file."""
    path = options.folder / f"ours-types-of-{kind}.gguf"
    if not path.exists():
        with open_gguf(peer) as file, open_gguf(options.model) as source:
            types = {
                name: info.format
                for name, info in file.tensors.items()
                if len(info.shape) > 1 and info.format != source.tensors[name].format
            }
            metadata = source.metadata
            calibration = calibrate(Tokenizer.from_gguf(metadata), ChatTemplate.from_gguf(metadata))
        quantize_file(options.model, path, types, calibration=calibration, open_layer=LayerEngine)
    return path


def ours(options: argparse.Namespace, kind: str, size_bytes: int, share: float) -> Path:
    """Ours of at most so many bytes."""
    path = options.folder / f"ours-{kind}-{round(100 * share)}.gguf"
    if not path.exists():
        made = quantize_checkpoint(
            options.model,
            path,
            Budget(size_bytes=size_bytes),
            self_written=False,  # llama.cpp has the built-in texts alone, too
            measured=options.folder / "measured",
        )
        path.with_suffix(".json").write_text(json.dumps(made.as_dict(), indent=1))
    return path


def judged(options: argparse.Namespace, name: str, path: Path) -> dict[str, object]:
    """The divergence of a file from the model."""
    found = evaluate(
        path, against=options.model, text=[options.text], sequences=options.sequences
    ).text
    assert found is not None
    assert found.comparison is not None
    kl, (low, high) = found.comparison.kl_mean, found.comparison.kl_ci95
    size = path.stat().st_size
    print(
        f"{name:28}{size / 1e6:8.2f} MB  KL {kl:.5f} ({low:.5f} to {high:.5f})  same top "
        f"{found.comparison.same_top_fraction:.2%}  {found.n_tokens} tokens",
        flush=True,
    )
    return {
        "bytes": size,
        "kl": kl,
        "kl_ci95": [low, high],
        "same_top": found.comparison.same_top_fraction,
        "n_tokens": found.n_tokens,
    }


if __name__ == "__main__":
    main()
