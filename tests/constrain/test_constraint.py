"""The state of one answer: masks, ends, steps back, threads, and what runs out."""

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from aboard.checkpoint.tokenizer import Tokenizer
from aboard.constrain import Constraint, Grammar, vocabulary
from aboard.constrain.vocabulary import MAX_GRAMMARS, Vocabulary
from aboard.errors import GrammarError, UsageError
from constrain.writing import BYTES, N_TOKENS, constraint
from tiny import tokenizer_metadata

END = {256, 258}  # of the tiny tokenizer; 257 is a control token, too
PERSON = Grammar.json_schema(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
)


def allowed(state: Constraint) -> set[int]:
    bits = np.unpackbits(state.allowed().view(np.uint8), bitorder="little")
    return set(np.flatnonzero(bits).tolist())


def follow(state: Constraint, text: str) -> None:
    for octet in text.encode():
        assert octet in allowed(state)
        state.accept(octet)


def test_a_mask_has_the_tokens_that_may_come_next() -> None:
    state = constraint(Grammar.choice(["red", "rose", "é"]))

    assert allowed(state) == {ord("r"), "é".encode()[0]}
    state.accept(ord("r"))
    assert allowed(state) == {ord("e"), ord("o")}


def test_it_is_as_long_as_the_logits() -> None:
    assert constraint(PERSON).allowed().shape == ((N_TOKENS + 31) // 32,)


def test_an_answer_may_end_where_it_is_whole() -> None:
    state = constraint(Grammar.choice(["a", "ab"]))

    assert not state.may_end
    state.accept(ord("a"))
    assert (state.may_end, state.ended) == (True, False)
    assert allowed(state) == {ord("b"), *END}
    state.accept(ord("b"))
    assert (state.may_end, state.ended) == (True, True)


def test_every_token_that_ends_answers_is_allowed_at_the_end() -> None:
    metadata = tokenizer_metadata() | {"tokenizer.ggml.eot_token_id": 257}
    tokenizer = Tokenizer.from_gguf(metadata)
    state = Grammar.regex("a+").constraint(tokenizer, N_TOKENS)

    state.accept(ord("a"))

    assert allowed(state) == {ord("a"), *tokenizer.stop_ids}
    assert len(tokenizer.stop_ids) > 1


def test_control_tokens_are_no_text() -> None:
    state = constraint(Grammar.regex("[^]*"))

    assert allowed(state).isdisjoint({257})
    assert allowed(state) == {*range(0x80), *range(0xC2, 0xF5), *END}  # what UTF-8 begins with


def test_control_tokens_can_be_asked_for_by_name() -> None:
    state = constraint(Grammar.lark('start: <|im_start|> "a"\n'))

    assert allowed(state) == {257}


def test_rows_of_the_head_without_a_token_are_never_allowed() -> None:
    state = Grammar.regex("[^]*").constraint(BYTES, 300)

    assert max(allowed(state)) == max(END)
    assert state.allowed().shape == (10,)


def test_a_token_that_may_not_come_is_refused_and_nothing_changes() -> None:
    state = constraint(PERSON)
    follow(state, '{"name"')

    for token in (65, 66, 257, N_TOKENS, -1, 65):
        with pytest.raises(UsageError, match=f"token {token} is not what the grammar allows"):
            state.accept(token)

    follow(state, ': "Ann", "age": 3}')
    assert state.ended


def test_guesses_are_checked_without_taking_them() -> None:
    state = constraint(PERSON)

    assert state.may_follow(list(b'{"name": "')) == 10
    assert state.may_follow(list(b'{"age"')) == 2
    assert state.may_follow([]) == 0
    assert state.may_follow([258]) == 0
    assert allowed(state) == {ord("{")}


def test_steps_are_taken_back() -> None:
    state = constraint(PERSON)
    follow(state, '{"name": "A')
    before = allowed(state)
    follow(state, '", "age": 3}')
    assert state.ended

    state.rewind(len('", "age": 3}'))

    assert allowed(state) == before
    assert (state.may_end, state.ended) == (False, False)
    with pytest.raises(UsageError, match="can't take back 12 of 11 tokens"):
        state.rewind(12)


def test_answers_of_one_grammar_are_apart() -> None:
    one, other = constraint(PERSON), constraint(PERSON)

    follow(one, '{"name": "A')

    assert allowed(other) == {ord("{")}


def test_threads_may_hold_answers_to_the_same_grammar() -> None:
    text = '{"name": "' + "abc" * 40 + '", "age": 12345}'

    def run(_: int) -> set[int]:
        state = constraint(PERSON)
        follow(state, text)
        return allowed(state)

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(run, range(32))) == [END] * 32


def test_a_forked_child_computes_masks() -> None:
    state = constraint(PERSON)
    follow(state, '{"name')

    child = os.fork()
    if child == 0:
        fresh = constraint(PERSON)
        follow(fresh, '{"name": "A')
        os._exit(0 if ord('"') in allowed(fresh) else 1)

    assert os.waitpid(child, 0)[1] == 0


@pytest.fixture
def limited(monkeypatch: pytest.MonkeyPatch) -> Vocabulary:
    """A vocabulary whose grammars may have few states."""
    monkeypatch.setitem(vocabulary._LIMITS, "max_lexer_states", 60)
    return Vocabulary(BYTES, N_TOKENS)


def test_what_other_answers_learned_doesnt_count(limited: Vocabulary) -> None:
    grammar = Grammar.choice(letter * 30 for letter in "abcd")

    for letter in "abcd":
        state = Constraint(limited, grammar.text)
        follow(state, letter * 30)
        assert state.ended


def test_a_grammar_that_takes_too_much_ends_the_answer(limited: Vocabulary) -> None:
    state = Constraint(limited, Grammar.regex("[a-z]{200}").text)

    with pytest.raises(GrammarError, match=r"after \d+ tokens the grammar takes more work"):
        follow(state, "a" * 100)


def test_few_grammars_are_kept() -> None:
    kept = Vocabulary(BYTES, N_TOKENS)

    for n in range(3 * MAX_GRAMMARS):
        Constraint(kept, Grammar.regex(f"a{{{n}}}").text)

    assert len(kept._compiled) == MAX_GRAMMARS


def test_a_vocabulary_is_made_once_for_a_tokenizer() -> None:
    assert vocabulary.vocabulary(BYTES, N_TOKENS) is vocabulary.vocabulary(BYTES, N_TOKENS)
    assert vocabulary.vocabulary(BYTES, 300).n_tokens == 300
