"""The policy gate: puts a Question to the policies and returns a Verdict.

Everything that is not a Verdict raises GateUnavailable. Python decides nothing: the Rego policies do.

What asks an engine is imported from `embedded` or `opa_server`: most verbs need neither.
"""

from __future__ import annotations

from swiftdeploy_tasks.gate.bundle import Bundle, keep, publish, read_bundle
from swiftdeploy_tasks.gate.decision import believe
from swiftdeploy_tasks.model.verdict import Check, Question, Verdict

__all__ = [
    "Bundle",
    "Check",
    "Question",
    "Verdict",
    "believe",
    "keep",
    "publish",
    "read_bundle",
]
