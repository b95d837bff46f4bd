"""The demo model, whole: every weight and every key as the `gguf` package reads them."""

from pathlib import Path

import numpy as np
import pytest
from gguf import GGUFReader, quants

from aboard import formats
from aboard.checkpoint.gguf import open_gguf

pytestmark = pytest.mark.model


def test_every_weight_has_the_bits_that_the_package_gives(demo_model: Path) -> None:
    theirs, file = GGUFReader(demo_model).tensors, open_gguf(demo_model)

    assert list(file.tensors) == [each.name for each in theirs]
    for each in theirs:
        tensor, fmt = file.tensors[each.name], formats.by_name(each.tensor_type.name)
        packed = file.read(each.name).reshape(-1, tensor.shape[-1] // fmt.BLOCK, fmt.BLOCK_BYTES)
        formats.check_scales(fmt.unpack(packed), tensor=each.name, block=fmt.BLOCK)
        weights = fmt.decode(packed).reshape(tensor.shape)
        assert np.array_equal(weights, quants.dequantize(each.data, each.tensor_type))


def test_every_key_has_the_value_that_the_package_gives(demo_model: Path) -> None:
    fields = GGUFReader(demo_model).fields

    metadata = open_gguf(demo_model).metadata

    theirs = {name: each.contents() for name, each in fields.items() if "GGUF." not in name}
    assert metadata.keys() == theirs.keys()
    for name, value in theirs.items():
        assert (list(metadata[name]) if isinstance(value, list) else metadata[name]) == value
