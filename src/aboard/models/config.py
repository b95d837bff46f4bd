"""A Hugging Face config.json: typed, bounded, and nothing that could change an answer unread."""

from __future__ import annotations

from collections.abc import Mapping

from aboard.errors import ConfigError, UnsupportedFile
from aboard.models.hyperparameters import Entries, finite

_HINT = "The checkpoint's config.json is damaged or incomplete: get it again."
# What never changes the logits of a prompt. Ids of special tokens and settings of generation are
# the tokenizer's matter; the names and shapes of tensors tell what `architectures` does.
IGNORED = frozenset(
    """
    _attn_implementation_autoset _commit_hash _name_or_path architectures attention_dropout
    attn_implementation attribute_map bad_words_ids begin_suppress_tokens bos_token_id
    cache_implementation chunk_size_feed_forward cross_attention_hidden_size
    decoder_start_token_id diversity_penalty
    do_sample dtype early_stopping embd_pdrop encoder_no_repeat_ngram_size eos_token_id
    exponential_decay_length_penalty finetuning_task forced_bos_token_id forced_eos_token_id
    hidden_dropout id2label initializer_range is_llama_config keys_to_ignore_at_inference
    label2id length_penalty max_length min_length model_type no_repeat_ngram_size
    num_beam_groups num_beams num_return_sequences output_attentions output_hidden_states
    output_scores pad_token_id prefix pretraining_tp problem_type pruned_heads
    remove_invalid_values repetition_penalty resid_pdrop return_dict return_dict_in_generate
    sep_token_id suppress_tokens task_specific_params temperature tf_legacy_loss tokenizer_class
    top_k top_p torch_dtype torchscript transformers.js_config transformers_version typical_p
    unsloth_fixed unsloth_version use_bfloat16 use_cache
    """.split()  # noqa: SIM905
)


class Config(Entries):
    """The members of a JSON object that describes a model; null counts as missing.

    Parameters
    ----------
    values : mapping
        The object.
    where : str
        What messages name: the file, and the key that led here.
    """

    def __init__(self, values: Mapping[str, object], where: str = "config.json") -> None:
        self.where = where
        present = {name: value for name, value in values.items() if value is not None}
        super().__init__(present, f"{where}: ", _HINT)
        self._nulls = frozenset(values) - frozenset(present)
        self._assumed: set[str] = set()
        self.ignore(*IGNORED)

    @property
    def model_type(self) -> str:
        """The kind of model, "" where the file doesn't say.

        Raises
        ------
        ConfigError
            It is no text.
        """
        return self.text("model_type", "")

    def assume(self, **defaults: object) -> None:
        """Take members that the file doesn't name, not even as null, for these."""
        for name, value in defaults.items():
            if name not in self._nulls and name not in self._values:
                self._values[name] = value
                self._assumed.add(name)

    def inherit(self, name: str, value: object) -> None:
        """Take a member for what is said of it around this object."""
        self._values[name] = value
        self._assumed.discard(name)

    def says(self, name: str) -> bool:
        """Whether the file names a member; what was assumed it doesn't."""
        return self.has(name) and name not in self._assumed

    def is_null(self, name: str) -> bool:
        """Whether the file says null, which may mean something else than nothing at all."""
        return name in self._nulls

    def numbers(self, name: str, count: int) -> tuple[float, ...]:
        """A list of `count` finite numbers above 0.

        Raises
        ------
        ConfigError
            It is missing or something else.
        """
        value = self._take(name, None)
        if isinstance(value, list) and len(value) == count:
            found = tuple(number for number in map(finite, value) if number and number > 0)
            if len(found) == count:
                return found
        raise self._wrong(name, value, f"{count} finite numbers above 0")

    def indices(self, name: str, end: int) -> frozenset[int] | None:
        """A list of different integers from 0 and below `end`, None where the file has none.

        Raises
        ------
        ConfigError
            It is something else.
        """
        if not self.has(name):
            return None
        value = self._take(name, None)
        if isinstance(value, list) and {int} >= set(map(type, value)):
            found = frozenset(value)
            if len(found) == len(value) and all(0 <= each < end for each in found):
                return found
        raise self._wrong(name, value, f"different integers from 0 to {end - 1}")

    def texts(self, name: str, count: int) -> tuple[str, ...] | None:
        """A list of `count` texts, None where the file has none.

        Raises
        ------
        ConfigError
            It is something else.
        """
        if not self.has(name):
            return None
        value = self._take(name, None)
        if isinstance(value, list) and len(value) == count and {str} >= set(map(type, value)):
            return tuple(value)
        raise self._wrong(name, value, f"{count} texts")

    def nested(self, name: str) -> Config | None:
        """An object within this one, None where the file has none; it is to be finished as well.

        Raises
        ------
        ConfigError
            It is something else.
        """
        if not self.has(name):
            return None
        value = self._take(name, None)
        if not isinstance(value, dict):
            raise self._wrong(name, value, "an object")
        return Config(value, f"{self.where}: {name}")

    def equals(self, other: Config) -> bool:
        """Whether both say the same."""
        return self._values == other._values

    def finish(self) -> None:
        """Refuse what nobody read: it may change the answer.

        Raises
        ------
        UnsupportedFile
            The weights are quantised in a way of their own.
        ConfigError
            There are such members.
        """
        if self.has("quantization_config"):
            raise UnsupportedFile(
                f"{self.where}: the weights are quantised already (quantization_config)",
                hint="Get the checkpoint in 16 or 32 bits: Aboard quantises it with --type.",
            )
        for name in ("is_decoder", "is_encoder_decoder", "add_cross_attention"):
            self.must_be(name, False)
        self.must_be("tie_encoder_decoder", False)
        self.ignore("auto_map")  # names programs for readers that don't know the model_type
        super().finish()

    def contradiction(self, what: str) -> ConfigError:
        """The error that says that the file contradicts itself."""
        return ConfigError(f"{self.where}: {what}", hint="Ask whoever published the checkpoint.")
