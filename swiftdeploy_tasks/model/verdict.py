"""A Question to the gate, and the Verdict that answers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from swiftdeploy_tasks.errors import GateUnavailable

ROLLBACK = "rollback"
Word = Literal["pass", "fail", "undecided"]
WORDS: tuple[Word, ...] = get_args(Word)


@dataclass(frozen=True)
class Question:
    """One domain of the policies, and the input that it judges (JSON values only)."""

    domain: str
    input: Mapping[str, Any]

    @property
    def is_rollback(self) -> bool:
        """Whether it is about a rollback, which is asked about for the record and never refused."""
        return self.input.get("operation") == ROLLBACK

    def text(self) -> str:
        """The input as JSON text; raises GateUnavailable when it is not JSON."""
        try:
            text = json.dumps(self.input, ensure_ascii=False, allow_nan=False)
            text.encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise GateUnavailable(
                f"the question about {self.domain} cannot be put as JSON: {error}", "invoke validate"
            ) from None
        return text


@dataclass(frozen=True)
class Check:
    """One rule: what was seen against what is allowed. Figures stay numbers; absent ones are None.

    `evidence` is what a rule of the canary policy was judged by while a step lasted.
    """

    rule: str
    passed: bool
    observed: Any
    limit: Any
    message: str
    evidence: Mapping[str, Any] | None = None

    @property
    def is_judged(self) -> bool:
        """Whether the rule judged what it saw; what it let pass beyond its limit, or says so, it did not."""
        if self.evidence:
            return self.word != "undecided"
        return not self.passed or not ("not judged" in self.message or self._is_beyond)

    @property
    def word(self) -> Word:
        """What the rule found; undecided where the evidence is too weak."""
        if not self.passed:
            return "fail"
        return "undecided" if self.evidence and self.evidence.get("verdict") == "undecided" else "pass"

    @property
    def _is_beyond(self) -> bool:
        if type(self.observed) not in (int, float) or type(self.limit) not in (int, float):
            return False
        is_above, is_below = self.observed > self.limit, self.observed < self.limit
        return bool(is_above if self.rule.startswith("max_") else is_below and self.rule.startswith("min_"))

    @property
    def sentence(self) -> str:
        """What the rule found, with its name in front."""
        return self.message if self.message.startswith(self.rule) else f"{self.rule}: {self.message}"

    def document(self) -> dict[str, Any]:
        """The check as JSON values; `evidence` is in it only where there is some."""
        values = vars(self) | {"evidence": dict(self.evidence or {})}
        if not self.evidence:
            del values["evidence"]
        return values


@dataclass(frozen=True)
class Verdict:
    """The gate's answer to one question; `duration_ms` is wall time as the asker felt it."""

    domain: str
    allow: bool
    checks: tuple[Check, ...]
    revision: str
    answered_by: str
    duration_ms: float
    is_undecided: bool = False

    @property
    def word(self) -> Word:
        """The verdict in a word; only the canary policy is ever undecided, and then it allows."""
        if not self.allow:
            return "fail"
        return "undecided" if self.is_undecided else "pass"

    @property
    def undecided(self) -> tuple[Check, ...]:
        """The rules whose evidence is too weak."""
        return tuple(check for check in self.checks if check.word == "undecided")

    @property
    def doubt(self) -> str:
        """What the undecided rules found: once where it is the same for all of them."""
        found = [check.message.removesuffix(": undecided") for check in self.undecided]
        alike = {message.partition(": ")[2] for message in found}
        return alike.pop() if len(alike) == 1 else "; ".join(found)

    @property
    def failed(self) -> tuple[Check, ...]:
        """The rules that said no."""
        return tuple(check for check in self.checks if not check.passed)

    def document(self) -> dict[str, Any]:
        """The form of `verdicts` in docs/ci.md; `verdict` is in it where evidence was judged."""
        is_by_evidence = any(check.evidence for check in self.checks)
        return {
            "domain": self.domain,
            "allow": self.allow,
            **({"verdict": self.word} if is_by_evidence else {}),
            "revision": self.revision,
            "answered_by": self.answered_by,
            "duration_ms": round(self.duration_ms, 3),
            "checks": [check.document() for check in self.checks],
        }
