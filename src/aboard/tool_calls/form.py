"""How a model of one family writes its calls down."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CallForm:
    """The texts around calls: one of `triggers`, `opening`, then each call, then `end`.

    A call is its name, `before_arguments`, its arguments as JSON, and `closing`. The form is fixed
    to the character, for a grammar holds the model to it as soon as a trigger is there.

    Attributes
    ----------
    name : str
        Of the family.
    triggers : tuple of str
        What begins calls.
    anywhere : bool
        Whether text may come before a trigger; else it begins the answer.
    prompted : bool
        Whether the first trigger ends the prompt: every answer goes on from there.
    text_begins : str
        What text begins with there.
    again : str or None
        Between two calls; None where there can be one only.
    marks : tuple of str
        Parts of all these texts that are control tokens, where the model has such.
    before_id : str
        What stands before the 9 letters and digits with which the model itself tells its calls
        apart, between the name and `before_arguments`; "" where it has none.
    before_last_id : str
        What stands before such an id behind the arguments, where the model may write it there; a
        quotation mark ends it.
    tells_tools : bool
        Whether the chat template is given the tools; else `instructions` has them.
    writes_calls : bool
        Whether it writes past calls down; else they are put into the text of their message.
    writes_results : bool
        Whether it knows the role "tool"; else results come from the user.
    arguments_as_text : bool
        Whether it wants the arguments of past calls as JSON text.
    short_ids : bool
        Whether it insists on ids of 9 letters and digits.
    instructions : str
        What the model is told besides; `{tools}` stands for the tools as JSON, one a line.
    """

    name: str
    triggers: tuple[str, ...]
    opening: str = ""
    before_arguments: str
    closing: str = ""
    again: str | None
    end: str = ""
    anywhere: bool = True
    prompted: bool = False
    text_begins: str = ""
    marks: tuple[str, ...] = ()
    before_id: str = ""
    before_last_id: str = ""
    tells_tools: bool = True
    writes_calls: bool = True
    writes_results: bool = True
    arguments_as_text: bool = False
    short_ids: bool = False
    instructions: str = ""

    def written(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """Calls, each with `name` and `arguments`, as the model would have written them."""
        between = self.closing + (self.again or "\n" + self.triggers[0] + self.opening)
        texts = [
            each["name"] + self.before_arguments + json.dumps(each["arguments"], ensure_ascii=False)
            for each in calls
        ]
        return self.triggers[0] + self.opening + between.join(texts) + self.closing + self.end
