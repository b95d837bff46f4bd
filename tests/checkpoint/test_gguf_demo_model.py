"""The demo model, whole: every weight and every key as the `gguf` package reads them."""

import numpy as np
import pytest
from gguf import GGUFReader, quants

from aboard import formats
from aboard.checkpoint.gguf import open_gguf
from aboard.errors import StoreError
from aboard.store import resolve

pytestmark = pytest.mark.model


@pytest.fixture(scope="module")
def path() -> str:
    try:
        return str(resolve("smollm2-135m"))
    except StoreError as error:
        pytest.skip(str(error))


def test_every_weight_has_the_bits_that_the_package_gives(path: str) -> None:
    theirs, file = GGUFReader(path).tensors, open_gguf(path)

    assert list(file.tensors) == [each.name for each in theirs]
    for each in theirs:
        tensor, fmt = file.tensors[each.name], formats.by_name(each.tensor_type.name)
        packed = file.read(each.name).reshape(-1, tensor.shape[-1] // fmt.BLOCK, fmt.BLOCK_BYTES)
        formats.check_scales(fmt.unpack(packed), tensor=each.name, block=fmt.BLOCK)
        weights = fmt.decode(packed).reshape(tensor.shape)
        assert np.array_equal(weights, quants.dequantize(each.data, each.tensor_type))


def test_every_key_has_the_value_that_the_package_gives(path: str) -> None:
    fields = GGUFReader(path).fields

    metadata = open_gguf(path).metadata

    theirs = {name: each.contents() for name, each in fields.items() if "GGUF." not in name}
    assert metadata.keys() == theirs.keys()
    for name, value in theirs.items():
        assert (list(metadata[name]) if isinstance(value, list) else metadata[name]) == value
