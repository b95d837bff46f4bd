"""Checkpoints of models that see: the text model in them, and what is beside it."""

from __future__ import annotations

from dataclasses import replace

from aboard.models.config import Config
from aboard.models.conversion import Conversion

_TOWERS = (
    *("vision_tower.", "multi_modal_projector.", "visual.", "audio_tower."),
    *("embed_vision.", "embed_audio.", "vision_embedder."),
)


def text_config(
    config: Config, *model_types: str, of_others: tuple[str, ...], tied: bool = True
) -> Config:
    """The config of the text model; all that is around it is read.

    Parameters
    ----------
    config : Config
        Of the whole model.
    model_types : str
        What the text model may be.
    of_others : tuple of str
        Members beside `vision_config` that say nothing of texts.
    tied : bool
        Whether the head is the embedding where `config` doesn't say it.

    Raises
    ------
    ConfigError
        There is no `text_config`, it is of another kind, or contradicts what is around it.
    """
    text = config.nested("text_config")
    if text is None:
        raise config.contradiction("has no text_config")
    text.must_be("model_type", *model_types)
    says = config.says("tie_word_embeddings")
    tied = config.flag("tie_word_embeddings", tied)
    within = text.flag("tie_word_embeddings", tied)
    if within != tied and (says or within):
        raise config.contradiction("tie_word_embeddings differs in text_config")
    if says:
        text.inherit("tie_word_embeddings", tied)
    else:
        text.assume(tie_word_embeddings=tied)
    for name in ("dtype", "torch_dtype"):  # in which the whole model is computed
        if config.says(name):
            text.inherit(name, config.text(name, ""))
    config.ignore("vision_config", *of_others)
    config.finish()
    return text


def as_part(conversion: Conversion) -> Conversion:
    """The conversion of the text model, where its tensors are a part of the whole model's."""
    return replace(
        conversion,
        rename=_inner_name,
        towers=(*_TOWERS, *(f"model.{name}" for name in _TOWERS)),
    )


def _inner_name(name: str) -> str:
    """The name that a tensor has where the text model is all there is."""
    for beginning, instead in (("language_model.", ""), ("model.language_model.", "model.")):
        if name.startswith(beginning):
            return instead + name.removeprefix(beginning)
    return name
