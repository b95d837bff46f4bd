"""Which architectures there are, and what happens with others."""

import numpy as np
import pytest

from aboard.errors import UnsupportedFile
from aboard.models import architectures, describe_model


def test_the_architectures_are_the_files_of_the_folder() -> None:
    assert set(architectures()) == {
        *("bert", "gemma2", "gemma3", "gemma4", "granite", "lfm2", "llama", "mistral3"),
        *("olmo2", "phi3", "qwen2", "qwen3", "qwen35", "smollm3"),
    }


@pytest.mark.parametrize(
    "name",
    [
        *(None, 5, True, ["llama"], np.array([1, 2])),
        *(
            "gpt2",
            "Llama",
            "decoder",
            "decoder_file",
            "encoder",
            "hyperparameters",
            "__init__",
            "../llama",
        ),
        *("", "x" * 10_000),
    ],
    ids=lambda name: str(name)[:20],
)
def test_an_unknown_architecture_is_refused_by_its_name(name: object) -> None:
    with pytest.raises(UnsupportedFile, match=r"is not supported: expected one of bert") as caught:
        describe_model({"general.architecture": name}, frozenset())

    assert len(str(caught.value)) < 300
