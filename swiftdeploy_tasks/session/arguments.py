"""Invoke arguments that note which verbs were named, and with which options, before the first task runs."""

from __future__ import annotations

from typing import Any

import invoke
from invoke import ParseError

from swiftdeploy_tasks.session.invocation import INVOCATION


class Argument(invoke.Argument):
    """An argument of a verb that adds the verb and the value to the invocation."""

    owner = ""
    copies = 0

    @classmethod
    def of(cls, argument: invoke.Argument, owner: str) -> Argument:
        """Return the argument as one of this class, of the verb `owner`."""
        noted = cls.__new__(cls)
        noted.__dict__.update(vars(argument))
        noted.owner = owner
        return noted

    def __deepcopy__(self, memo: dict[int, Any]) -> Argument:
        """Note the verb: Invoke copies all arguments once, then those of each verb that it parses."""
        copied = self.of(self, self.owner)
        copied.copies = self.copies + 1
        if copied.copies > 1:
            INVOCATION.name(self.owner)
        memo[id(self)] = copied
        return copied

    def set_value(self, value: Any, cast: bool = True) -> None:
        """Set and note the value; raises ParseError for one that does not fit."""
        try:
            super().set_value(value, cast)
            if self.name == "wait" and int(self.value) < 0:
                raise ValueError
        except ValueError:
            raise ParseError(f"--{self.name} takes a whole number from 0, not {value!r}") from None
        INVOCATION.named[-1][1][str(self.name)] = self.value
        if self.name == "json":
            INVOCATION.json = bool(self.value)
        if self.name == "wait":
            INVOCATION.wait = float(self.value)
