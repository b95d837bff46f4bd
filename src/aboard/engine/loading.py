"""From a file to a model that is ready to run."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from aboard.checkpoint.gguf import open_gguf
from aboard.engine.arguments import ACTIVATIONS, KV_FORMATS, checked_choice, checked_integer
from aboard.engine.device import checked_threads, use_isa_of_environment
from aboard.engine.embedding import EmbeddingModel
from aboard.engine.model import Model
from aboard.engine.prefix import PREFIX_CACHE_BYTES, PrefixCache
from aboard.engine.weights import load_weights
from aboard.errors import UsageError, naming
from aboard.models import DecoderModel, EncoderModel, describe_model


def load(
    path: str | Path,
    *,
    threads: int | None = None,
    context: int | None = None,
    kv: str = "f16",
    activations: str = "int8",
    prefix_cache_bytes: int = PREFIX_CACHE_BYTES,
) -> Model:
    """The model in the GGUF file at `path`, ready to run.

    The file is read, hashed and packed in one pass and not needed afterwards. Of an encoder, which
    turns texts into vectors, an `EmbeddingModel` comes back.

    Parameters
    ----------
    path : str or Path
        A GGUF file; of a split one, the first part.
    threads : int, optional
        For loading and computing; by default one for each usable core. The answers don't depend
        on it.
    context : int, optional
        Tokens a session may hold, up to what the model was made for, which is the default. Memory
        is taken as tokens come. Of an encoder: tokens of a text; the default is where the model's
        makers cut texts, and may be less than what the model takes.
    kv : str
        How keys and values are stored: "f16", or "int8", which takes half of the memory and is
        faster in long contexts. The answers of the two differ slightly; each is the same on every
        machine.
    activations : str
        What matrices are multiplied with: "int8", or "float32" with keys and values in float32,
        which is slow, and as exact as the weights: to check a model, or an engine, against another.
    prefix_cache_bytes : int
        How much memory may keep beginnings of prompts that were computed, for prompts that begin
        alike; it changes no answer. `generate`, `chat` and `batch` use it, sessions that ask for
        it, too. 0 switches it off.

    Raises
    ------
    CheckpointError
        The file can't be understood.
    ConfigError
        Its hyper-parameters are unknown or contradict each other.
    TokenizerError
        Its tokenizer is unknown or contradictory.
    UsageError
        `threads`, `context` or `prefix_cache_bytes` is out of range, `kv` or `activations` is
        unknown, they exclude each other, or `ABOARD_ISA` names what doesn't run here.
    """
    from aboard import _native

    n_threads = checked_threads(threads)
    kv = _checked_kv(kv, activations)
    prefix_cache = PrefixCache(prefix_cache_bytes)
    use_isa_of_environment()
    # The tokenizer is built while the weights are read: it needs one thread, and it is made before
    # the weights are all there, so that its scratch memory doesn't add to the peak.
    with open_gguf(path) as file, ThreadPoolExecutor(1, "aboard-load") as beside:
        with naming(file.path):
            config = describe_model(file.metadata, frozenset(file.tensors))
        context_length = _checked_context(context, config)
        reading = beside.submit(load_weights, file, config, n_threads)
        # Imported here, while other threads read.
        from aboard.checkpoint.chat_template import ChatTemplate
        from aboard.checkpoint.tokenizer import Tokenizer

        has_tokenizer = "tokenizer.ggml.model" in file.metadata
        with naming(file.path):
            tokenizer = Tokenizer.from_gguf(file.metadata) if has_tokenizer else None
            _native.release_free_memory()  # 6 of the 30 MiB that building a tokenizer takes
            template = ChatTemplate.from_gguf(file.metadata)
        weights = reading.result()
    if isinstance(config, EncoderModel):
        floats = activations == "float32"
        return EmbeddingModel(
            Path(path), config, weights, tokenizer, context_length, n_threads, floats=floats
        )
    return Model(
        Path(path),
        config,
        weights,
        tokenizer,
        template,
        context_length,
        n_threads,
        prefix_cache,
        kv,
    )


def _checked_kv(kv: str, activations: str) -> str:
    """How caches store: as `kv` says, or "f32" where activations stay float32."""
    checked_choice("kv", kv, KV_FORMATS)
    if checked_choice("activations", activations, ACTIVATIONS) == "int8":
        return kv
    if kv != "f16":
        raise UsageError(
            f"kv is {kv!r}, but with float32 activations keys and values are float32, too",
            hint="Leave one of the two out.",
        )
    return "f32"


def _checked_context(context: int | None, config: DecoderModel | EncoderModel) -> int:
    longest = config.context_length
    if context is None:
        return config.text_length if isinstance(config, EncoderModel) else longest
    return checked_integer(
        "context", context, 1, longest, f"1 to {longest} tokens, which is what this model takes"
    )
