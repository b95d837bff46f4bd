"""Objects of a shape as productions: named members in their order, then all others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations, product

from aboard.constrain.language.expression import (
    Expression,
    both,
    literal,
    literals,
    other,
)
from aboard.constrain.language.spelling import Spelling
from aboard.constrain.schema.formula import Formula
from aboard.constrain.schema.meaning import Meaning
from aboard.constrain.schema.productions import (
    NIL,
    NONE,
    Again,
    Node,
    Productions,
    Rule,
    Text,
    chain,
    maybe,
    pick,
)
from aboard.constrain.schema.punctuation import CLOSE_OBJECT, COLON, COMMA, OPEN_OBJECT
from aboard.constrain.schema.shapes import Names, ObjectShape, demands_of
from aboard.errors import GrammarError

MAX_CLASSES = 64
MAX_NAMED = 400
"""Names of a finite language that become named members, so that none comes twice."""

Value = Callable[[Formula], Rule]


@dataclass(frozen=True, slots=True)
class Kin:
    """Members that share what is demanded of them: names of a language."""

    names: Expression
    formula: Formula


@dataclass(frozen=True, slots=True)
class Wish:
    """A member of such a name that satisfies the formula must be there."""

    names: Expression
    formula: Formula


class ObjectWriter:
    """Writes objects of one shape.

    Parameters
    ----------
    shape : ObjectShape
        What they are.
    meaning : Meaning
        Of the schema.
    rules : Productions
        Where rules are made.
    value : callable
        The rule of a formula's values.
    spelling : Spelling
        How strings are written.
    """

    def __init__(
        self,
        shape: ObjectShape,
        meaning: Meaning,
        rules: Productions,
        value: Value,
        spelling: Spelling,
    ) -> None:
        self._shape = shape
        self._meaning = meaning
        self._rules = rules
        self._value = value
        self._spelling = spelling
        self._mark = rules.mark(shape)
        self._demands = demands_of(shape)
        self._names = self._named()
        self._kin = self._other_kin()
        self._wishes = tuple(
            Wish(names, formula) for names, formula in shape.needs if not isinstance(names, str)
        )
        self._counts = shape.most is not None or shape.least > self._n_needed()

    def node(self) -> Node:
        """All of an object, with its braces."""
        inner = self._members(0, False, 0, frozenset(range(len(self._wishes))))
        return chain(OPEN_OBJECT, inner, CLOSE_OBJECT)

    def _named(self) -> list[str]:
        """Names that stand alone in a demand, in their order."""
        pairs = (*self._shape.rules, *self._shape.needs)
        alone = [names for names, _ in pairs if isinstance(names, str)]
        return list(dict.fromkeys((*self._shape.order, *alone)))

    def _n_needed(self) -> int:
        return len({names for names, _ in self._shape.needs if isinstance(names, str)})

    def _other_kin(self) -> list[Kin]:
        """All other members by what is demanded of them; finite ones become named."""
        questions = self._meaning.questions
        named = other(literals(self._names)) if self._names else None
        classes: list[tuple[Expression, tuple[Formula, ...]]] = [
            (both() if named is None else named, ())
        ]
        demands: list[tuple[Names, Formula | None]] = [
            *self._shape.rules,
            *((names, None) for names, _ in self._shape.needs),
        ]
        for names, formula in demands:
            if isinstance(names, str):
                continue
            split: list[tuple[Expression, tuple[Formula, ...]]] = []
            for language, formulas in classes:
                within, beyond = both(language, names), both(language, other(names))
                also = formulas if formula is None else (*formulas, formula)
                if not questions.is_empty(within):
                    split.append((within, also))
                if not questions.is_empty(beyond):
                    split.append((beyond, formulas))
            classes = split
            if len(classes) > MAX_CLASSES:
                raise GrammarError(
                    f"names of members fall into more than {MAX_CLASSES} classes by their patterns"
                )
        found = []
        for language, formulas in classes:
            formula = self._meaning.formulas.both(*formulas)
            if self._meaning.is_impossible(formula):
                continue
            texts = questions.texts(language, MAX_NAMED)
            if texts is None:
                found.append(Kin(language, formula))
            else:
                self._names += texts
        return found

    def _members(self, at: int, begun: bool, n: int, open_: frozenset[int]) -> Rule:
        """Members from the named one at `at` on.

        `begun`: there are some before them, `n` if that is counted; `open_`: the wishes left.
        """
        state = ("members", self._mark, at, begun, n, open_)
        return self._rules.rule(state, lambda: self._members_body(at, begun, n, open_))

    def _members_body(self, at: int, begun: bool, n: int, open_: frozenset[int]) -> Node:
        if at == len(self._names):
            return self._others(begun, n, open_)
        name = self._names[at]
        needs = self._demands.needs.get(name, ())
        options: list[Node] = []
        if not needs:
            options.append(self._members(at + 1, begun, n, open_))
        if self._shape.most is None or n < self._shape.most:
            satisfied = self._meaning.formulas.both(
                self._meaning.member(self._demands, name), *needs
            )
            comma = COMMA if begun else NIL
            name_key = self._key(literal(name))
            after = min(n + 1, self._cap()) if self._counts else 0
            for granted in self._subsets(self._wishes_of(name) & open_):
                wishes = (self._wishes[wish].formula for wish in granted)
                formula = self._meaning.formulas.both(satisfied, *wishes)
                rest = self._members(at + 1, True, after, open_ - granted)
                if not self._meaning.is_impossible(formula):
                    options.append(chain(comma, name_key, self._value(formula), rest))
        return pick(*options)

    def _cap(self) -> int:
        return self._shape.least if self._shape.most is None else self._shape.most

    def _wishes_of(self, name: str) -> frozenset[int]:
        """The wishes that a member of this name may grant."""
        accepts = self._meaning.questions.accepts
        return frozenset(
            number for number, wish in enumerate(self._wishes) if accepts(wish.names, name)
        )

    def _subsets(self, wishes: frozenset[int]) -> list[frozenset[int]]:
        self._meaning.questions.spend(1 << min(len(wishes), 20))
        ordered = sorted(wishes)
        return [
            frozenset(subset)
            for size in range(len(ordered) + 1)
            for subset in combinations(ordered, size)
        ]

    def _others(self, begun: bool, n: int, open_: frozenset[int]) -> Node:
        """Members that aren't named, `n` being there.

        Their names may come twice, and then the last one counts. So those that grant a wish come
        last, and where more than one must be there they must differ by their kin.
        """
        least = max(self._shape.least - n, 0) if self._counts else 0
        most = None if self._shape.most is None else self._shape.most - n
        any_ = pick(*(self._member(kin, ()) for kin in self._kin))
        options: list[Node] = []
        for granting in self._grantings(open_):
            n_more = max(least - len(granting), 0)
            if self._kin and (n_more > 1 or (n_more and granting)):
                raise GrammarError(
                    f"objects must have {self._shape.least} members or more, of names that aren't "
                    "listed: it isn't enforced that they differ",
                    hint="List the names in properties, or demand fewer with minProperties.",
                )
            free = None if most is None else most - len(granting)
            if free is not None and free < n_more:
                continue
            parts = [self._several(any_, begun, n_more, free)]
            for number, node in enumerate(granting):
                parts.append(chain(COMMA if begun or number else NIL, node))
            if granting and not begun:
                options += self._unbegun(any_, granting, free)
            else:
                options.append(chain(*parts))
        return pick(*options) if options else NONE

    def _unbegun(self, any_: Node, granting: list[Node], free: int | None) -> list[Node]:
        """Members before those that grant wishes, where nothing stands before them."""
        last = chain(granting[0], *(chain(COMMA, node) for node in granting[1:]))
        if free == 0:
            return [last]
        high = None if free is None else free
        return [chain(Again(chain(any_, COMMA), 0, high), last)]

    @staticmethod
    def _several(node: Node, begun: bool, least: int, most: int | None) -> Node:
        if most == 0:
            return NIL
        if begun:
            return Again(chain(COMMA, node), least, most)
        all_ = chain(node, Again(chain(COMMA, node), 0, None if most is None else most - 1))
        return all_ if least else maybe(all_)

    def _key(self, names: Expression) -> Node:
        """A member's name and the colon."""
        quoted = self._spelling.quoted(names)
        self._meaning.questions.know_filled(quoted)  # no kin is without names
        return chain(Text(quoted), COLON)

    def _member(self, kin: Kin, wishes: tuple[Formula, ...]) -> Node:
        formula = self._meaning.formulas.both(kin.formula, *wishes)
        return chain(self._key(kin.names), self._value(formula))

    def _grantings(self, open_: frozenset[int]) -> list[list[Node]]:
        """The ways in which members that aren't named grant all of the wishes left."""
        if not open_:
            return [[]]
        wishes = sorted(open_)
        able = [
            [k for k, kin in enumerate(self._kin) if self._within(kin.names, self._wishes[w].names)]
            for w in wishes
        ]
        found = []
        for way in product(*able):
            self._meaning.questions.spend()
            members = []
            for k in dict.fromkeys(way):
                granted = [
                    self._wishes[w].formula for w, by in zip(wishes, way, strict=True) if by == k
                ]
                members.append(self._member(self._kin[k], self._alike(granted)))
            found.append(members)
        return found

    def _within(self, kin: Expression, names: Expression) -> bool:
        """Whether all names of the kin are among `names`: either all are, or none."""
        return not self._meaning.questions.is_empty(both(kin, names))

    def _alike(self, formulas: list[Formula]) -> tuple[Formula, ...]:
        """Wishes that members of one kin grant, which one of them can grant alone."""
        make = self._meaning.formulas
        kept: list[Formula] = []
        for formula in dict.fromkeys(formulas):
            if all(
                not self._meaning.is_impossible(make.both(k, make.negated(formula))) for k in kept
            ):
                kept.append(formula)
        kept = [
            k
            for k in kept
            if not any(
                o is not k and self._meaning.is_impossible(make.both(o, make.negated(k)))
                for o in kept
            )
        ]
        if len(kept) > 1:
            raise GrammarError(
                "objects must have several members whose names match a pattern, with different "
                "values: it isn't enforced that they differ"
            )
        return tuple(kept)
