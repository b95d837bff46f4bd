"""Writes tests/golden/import/configs.json: how transformers describes the tiny models it saves.

    python tools/golden_import.py            # write the file anew
    python tools/golden_import.py --check    # derive it again; exit 1 where something differs

The models are the float32 ones of tools/golden.py, whose logits are kept there. What
`save_pretrained` writes beside the config is checked here, not stored: its safetensors must hold
just the weights, by the names and in the shapes, that the tests make such folders of.
"""

import argparse
import json
import tempfile
from pathlib import Path

from safetensors.numpy import load_file

import golden

FILE = golden.ROOT / "tests" / "golden" / "import" / "configs.json"
_OF_THE_VERSION = ("transformers_version",)


def main() -> int:
    """Writes or checks; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the file, write none")
    arguments = parser.parse_args()
    golden.torch.manual_seed(0)
    cases = {name: case for name, case in golden.CASES.items() if case.fmt == "F32"}
    configs = {name: saved_config(case) for name, case in cases.items()}
    if not arguments.check:
        FILE.parent.mkdir(parents=True, exist_ok=True)
        FILE.write_text(json.dumps(configs, indent=1) + "\n")
        print(f"golden: wrote {len(configs)} configs to {FILE.relative_to(golden.ROOT)}")
        return 0
    stored = json.loads(FILE.read_text())
    wrong = [
        name for name in configs.keys() | stored.keys() if configs.get(name) != stored.get(name)
    ]
    for name in sorted(wrong):
        print(f"golden: {name}: transformers saves {configs.get(name)}, kept: {stored.get(name)}")
    if not wrong:
        print(f"golden: {len(configs)} configs are what transformers saves")
    return 1 if wrong else 0


def saved_config(case: golden.Case) -> dict[str, object]:
    """The config.json of a case; fails where the weights beside it are not those of the case."""
    weights = golden.llama_weights(case.shape, case.seed)
    model = golden.transformers_model(case.shape, weights)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        config = json.loads((Path(folder) / "config.json").read_text())
        saved = load_file(Path(folder) / "model.safetensors")
    if saved.keys() != weights.keys():
        raise SystemExit(f"transformers saves {sorted(saved)}, expected {sorted(weights)}")
    for name, values in weights.items():
        if saved[name].tobytes() != values.tobytes() or saved[name].shape != values.shape:
            raise SystemExit(f"transformers saves another {name}")
    return {key: value for key, value in config.items() if key not in _OF_THE_VERSION}


if __name__ == "__main__":
    raise SystemExit(main())
