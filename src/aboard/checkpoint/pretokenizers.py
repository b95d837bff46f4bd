"""How byte-level BPE cuts a text into words, by the name in `tokenizer.ggml.pre`.

Each rule is the one in the `tokenizer.json` of the family's first model. A name that is not in
the table is refused: a near miss gives other tokens, and so other answers, without any sign.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aboard.errors import TokenizerError

if TYPE_CHECKING:
    from tokenizers.pre_tokenizers import PreTokenizer

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_SYMBOLS_THEN_SPACE = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}{{1,3}}|{_SYMBOLS_THEN_SPACE}"
QWEN2 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}|{_SYMBOLS_THEN_SPACE}"
QWEN35 = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
MINICPM5 = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}+|{_SYMBOLS_THEN_SPACE}"
SEED_CODER = (
    rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|\p{{N}}"
    r"| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
_SYMBOLS_OR_SLASH = r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*"
    rf"|\p{{N}}|{_SYMBOLS_OR_SLASH}"
)
GPT4O = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{_UPPER}*{_LOWER}+{_CONTRACTIONS}?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_UPPER}+{_LOWER}*{_CONTRACTIONS}?"
    rf"|\p{{N}}{{1,3}}|{_SYMBOLS_OR_SLASH}"
)
DEEPSEEK_V3 = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+"
    r"|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_HAN_KANA_HANGUL = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
# The cased letters of the Unicode version that family was made with: a frozen list, as \p{L} grows.
_CASED = (
    "A-Za-z"
    "\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af"
    "\u0370-\u0373\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1"
    "\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5"
    "\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a"
    "\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d"
    "\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3"
    "\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115"
    "\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149"
    "\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d"
    "\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06"
    "\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    "\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    "\U0001e900-\U0001e943"
)
_CJK_PUNCTUATION = "!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3000-\u3002"


@dataclass(frozen=True, slots=True)
class WordRule:
    """How one family cuts its text.

    `whole_words_first`: a word that is a token is that token, whatever the merges say.
    `add_bos`: what holds where the file has no `add_bos_token`. `nfc`: the text is brought to
    Unicode normal form C first.
    """

    build: Callable[[], list[Any]]
    whole_words_first: bool = False
    add_bos: bool = False
    nfc: bool = False


def _splits(*patterns: str) -> Callable[[], list[Any]]:
    def build() -> list[Any]:
        from tokenizers import Regex
        from tokenizers.pre_tokenizers import Split

        return [Split(Regex(pattern), "isolated") for pattern in patterns]

    return build


def _single_digits() -> list[Any]:
    from tokenizers.pre_tokenizers import Digits

    return [Digits(individual_digits=True), *_splits(GPT2)()]


def _deepseek_llm() -> list[Any]:
    from tokenizers.pre_tokenizers import Digits

    letters, marks = rf"\s?[{_CASED}]+", rf"\s?[{_CJK_PUNCTUATION}]+"
    words = _splits(r"[\r\n]", letters, marks, r"\s+$", _HAN_KANA_HANGUL)()
    return [*words, Digits(individual_digits=True)]


def _deepseek_coder() -> list[Any]:
    from tokenizers.pre_tokenizers import Digits

    words = _splits(r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _HAN_KANA_HANGUL)()
    return [*words, Digits(individual_digits=True)]


_GPT2 = WordRule(_splits(GPT2))
_SINGLE_DIGITS = WordRule(_single_digits)
_LLAMA3 = WordRule(_splits(LLAMA3), whole_words_first=True, add_bos=True)
_QWEN2 = WordRule(_splits(QWEN2), nfc=True)
_GPT4O = WordRule(_splits(GPT4O))

WORD_RULES: dict[str, WordRule] = {
    "gpt-2": _GPT2,
    "olmo": _GPT2,
    "phi-2": _GPT2,
    "mpt": _GPT2,
    "exaone4": _GPT2,
    "granite-docling": _GPT2,
    "smollm": _SINGLE_DIGITS,
    "starcoder": _SINGLE_DIGITS,
    "refact": _SINGLE_DIGITS,
    "command-r": WordRule(_single_digits, nfc=True),
    "exaone": _SINGLE_DIGITS,
    "llama-bpe": _LLAMA3,
    "llama3": _LLAMA3,
    "llama-v3": _LLAMA3,
    "falcon3": _LLAMA3,
    "lfm2": _LLAMA3,
    "pixtral": _LLAMA3,
    "dbrx": WordRule(_splits(LLAMA3)),
    "smaug-bpe": WordRule(_splits(LLAMA3)),
    "qwen2": _QWEN2,
    "qwen35": WordRule(_splits(QWEN35), nfc=True),
    "deepseek-r1-qwen": WordRule(_splits(QWEN2)),
    "stablelm2": WordRule(_splits(QWEN2)),
    "seed-coder": WordRule(_splits(SEED_CODER)),
    "tekken": WordRule(_splits(TEKKEN), whole_words_first=True, add_bos=True),
    "gpt-4o": _GPT4O,
    "llama4": _GPT4O,
    "deepseek-coder": WordRule(_deepseek_coder),
    "deepseek-v3": WordRule(
        _splits(r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK_V3)
    ),
    "deepseek-llm": WordRule(_deepseek_llm),
    "minicpm5": WordRule(_splits(r"\p{N}{1,3}", MINICPM5), whole_words_first=True),
    "falcon": WordRule(_splits(r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]")),
    "default": WordRule(_splits(r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
}


def find_word_rule(pre: str | None) -> WordRule:
    """The rule named `pre`.

    Raises
    ------
    TokenizerError
        The name is missing or unknown.
    """
    if pre is None:
        raise TokenizerError(
            "tokenizer.ggml.pre is missing: how this BPE tokenizer cuts words is unknown",
            hint="Convert the model again with a converter that writes the pre-tokenizer's name.",
        )
    if pre not in WORD_RULES:
        raise TokenizerError(
            f"pre-tokenizer {pre[:80]!r} is unknown: expected one of {', '.join(WORD_RULES)}",
            hint="The model needs a newer Aboard; report the model's name.",
        )
    return WORD_RULES[pre]


def build_pre_tokenizer(rule: WordRule) -> PreTokenizer:
    """The `tokenizers` object that cuts a text by `rule` and writes bytes as letters."""
    from tokenizers.pre_tokenizers import ByteLevel, Sequence

    return Sequence([*rule.build(), ByteLevel(add_prefix_space=False, use_regex=False)])
