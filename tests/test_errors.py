"""What errors say beside their own words."""

from pathlib import Path

import pytest

from aboard.errors import AboardError, ConfigError, MalformedFile, UsageError, naming

PATH = Path("folder/model.gguf")


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (ConfigError("odd"), "folder/model.gguf: odd", "Get the file again"),
        (ConfigError("odd", hint="Do this."), "folder/model.gguf: odd", "Do this."),
        (MalformedFile(f"{PATH}: odd", hint="Do that."), "folder/model.gguf: odd", "Do that."),
        (UsageError("odd"), "odd", ""),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_name_and_a_hint(
    error: AboardError, message: str, hint: str
) -> None:
    with pytest.raises(type(error)) as caught, naming(PATH):
        raise error

    assert str(caught.value) == message
    assert (caught.value.hint or "").startswith(hint)
