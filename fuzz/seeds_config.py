"""Writes the configs from which fuzzing the reader of config.json starts, of every model_type.

python fuzz/seeds_config.py FOLDER
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests"
IMPORT = TESTS / "golden" / "import"
sys.path.insert(0, str(TESTS))

from tiny_encoders import TinyBert, bert_config  # noqa: E402


def seeds() -> Iterator[bytes]:
    """The configs that transformers saves, and one that it saved before version 5."""
    for file in ("families.json", "towers.json"):
        for config in json.loads((IMPORT / file).read_text()).values():
            yield json.dumps(config.get("config", config)).encode()
    yield json.dumps(bert_config(TinyBert())).encode()
    for config in json.loads((IMPORT / "configs.json").read_text()).values():
        yield json.dumps(config).encode()
        old = {key: value for key, value in config.items() if key != "rope_parameters"}
        rope = dict(config["rope_parameters"])
        theta = rope.pop("rope_theta")
        yield json.dumps(old | {"rope_theta": theta, "rope_scaling": rope}).encode()
        yield json.dumps(old | {"model_type": "mistral", "sliding_window": None}).encode()


if __name__ == "__main__":
    from harness import write_seeds

    write_seeds(seeds())
