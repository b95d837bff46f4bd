"""What is being checked, as far as it could be opened: each group of checks adds its part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aboard.checkpoint.chat_template import ChatTemplate
from aboard.checkpoint.gguf import GgufFile
from aboard.checkpoint.tokenizer import Tokenizer
from aboard.engine import Model
from aboard.models import DecoderModel, EncoderModel
from aboard.progress import Progress, silent


@dataclass(slots=True, kw_only=True)
class Subject:
    """A model under examination; None stands for what isn't there or couldn't be understood."""

    path: Path
    threads: int
    activations: str = "int8"
    progress: Progress = silent
    file: GgufFile | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    n_parameters: int = 0
    config: DecoderModel | EncoderModel | None = None
    tokenizer: Tokenizer | None = None
    template: ChatTemplate | None = None
    model: Model | None = None
