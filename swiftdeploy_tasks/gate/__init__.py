"""The policy gate: puts a Question to the policies and returns a Verdict.

Everything that is not a Verdict raises GateUnavailable. Python decides nothing: the Rego policies do.
"""

from __future__ import annotations

from swiftdeploy_tasks.gate.bundle import Bundle, keep, publish, read_bundle
from swiftdeploy_tasks.gate.decision import believe
from swiftdeploy_tasks.gate.embedded import ask_embedded, check_bundle
from swiftdeploy_tasks.gate.opa_server import ask_server, wait_ready
from swiftdeploy_tasks.model.verdict import Check, Question, Verdict

__all__ = [
    "Bundle",
    "Check",
    "Question",
    "Verdict",
    "ask_embedded",
    "ask_server",
    "believe",
    "check_bundle",
    "keep",
    "publish",
    "read_bundle",
    "wait_ready",
]
