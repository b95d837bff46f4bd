"""Compares the vectors of an imported encoder with transformers and with llama.cpp.

    python tools/compare_embeddings.py FOLDER TEXT --oracle ENV [--llama ENV] [--type q8_0]

FOLDER is a checkpoint of sentence-transformers, TEXT a file whose first 200 sentences are used. The
vector of each is compared by the cosine: with transformers' (float32, mean of the tokens or the
first, divided by its length), and with llama.cpp's, on the same imported file. Token ids are
compared as well. ENV are virtual environments.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "src"))

import aboard  # noqa: E402
from aboard.artifact.importing import import_checkpoint  # noqa: E402

N_SENTENCES = 200

TRANSFORMERS = """
import json, sys, torch
from transformers import AutoModel, AutoTokenizer
folder, pooling, longest = sys.argv[1], sys.argv[2], int(sys.argv[3])
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModel.from_pretrained(folder, dtype=torch.float32).eval()
found = []
with torch.inference_mode():
    for text in json.load(sys.stdin):
        ids = tokenizer(text, truncation=True, max_length=longest)["input_ids"]
        hidden = model(torch.tensor([ids])).last_hidden_state[0]
        vector = hidden.mean(0) if pooling == "mean" else hidden[0]
        found.append([ids, torch.nn.functional.normalize(vector, dim=0).tolist()])
json.dump(found, sys.stdout)
"""
LLAMA = """
import json, sys
import llama_cpp
model = llama_cpp.Llama(sys.argv[1], embedding=True, verbose=False, n_ctx=int(sys.argv[3]))
found = []
for text in json.load(sys.stdin):
    ids = model.tokenize(text.encode(), add_bos=True, special=True)
    found.append([ids, model.embed(text, normalize=True)])
json.dump(found, sys.stdout)
"""


def main() -> int:
    """Prints a line for each comparison; 1 where one is below 0.999."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("text", type=Path)
    parser.add_argument("--oracle", type=Path, required=True)
    parser.add_argument("--llama", type=Path)
    parser.add_argument("--type", help="of the imported file; by default the checkpoint's own")
    arguments = parser.parse_args()
    sentences = _sentences(arguments.text.read_text(encoding="utf-8"))
    print(f"{len(sentences)} sentences")
    worst = 1.0
    with tempfile.TemporaryDirectory(prefix="aboard-embeddings-") as folder:
        path = Path(folder) / "model.gguf"
        import_checkpoint(arguments.folder, path, type=arguments.type)
        model = aboard.load(path)
        settings = [model.config.pooling, str(model.context_length)]
        peers = {"transformers": (arguments.oracle, TRANSFORMERS, arguments.folder)}
        if arguments.llama:
            peers["llama.cpp"] = (arguments.llama, LLAMA, path)
        found = {
            name: _ask(environment, script, [str(what), *settings], sentences)
            for name, (environment, script, what) in peers.items()
        }
        ids = [model.tokenizer.encode(sentence) for sentence in sentences]
        for name, answers in found.items():
            same = sum(ours == theirs for ours, (theirs, _) in zip(ids, answers, strict=True))
            print(f"token ids as those of {name}: {same} of {len(ids)}")
        for mode in ("float32", "int8"):
            model = aboard.load(path, activations=mode)
            ours = model.embed(sentences, normalize=True, truncate=True)
            for name, answers in found.items():
                theirs = np.array([vector for _, vector in answers])
                worst = min(worst, _report(f"ours ({mode}) and {name}", ours, theirs))
        if len(found) == 2:
            one, other = (np.array([vector for _, vector in each]) for each in found.values())
            _report("llama.cpp and transformers", other, one)
    return 0 if worst > 0.999 else 1


def _sentences(text: str) -> list[str]:
    found = re.split(r"(?<=[.!?])\s+", " ".join(text.split()))
    return [sentence for sentence in found if len(sentence) > 20][:N_SENTENCES]


def _ask(environment: Path, script: str, arguments: list[str], sentences: list[str]) -> list:
    answer = subprocess.run(
        [str(environment / "bin" / "python"), "-c", script, *arguments],
        input=json.dumps(sentences),
        capture_output=True,
        check=True,
        text=True,
    )
    return json.loads(answer.stdout.splitlines()[-1])


def _report(name: str, ours: np.ndarray, theirs: np.ndarray) -> float:
    cosines = (ours * theirs).sum(axis=1)
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(
        f"{name}: cosine {cosines.min():.6f} at least, {cosines.mean():.6f} on average; "
        f"largest difference {error:.1e} of the largest value"
    )
    return float(cosines.min())


if __name__ == "__main__":
    raise SystemExit(main())
