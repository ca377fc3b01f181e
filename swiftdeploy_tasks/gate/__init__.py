"""May this go ahead? One Question is asked of the policies, and only a clear yes is believed.

Stands apart so that no other room ever decides allow or deny, and none can mistake silence for a yes: all
that is not a Verdict is GateUnavailable. It refuses to judge anything itself; the Rego does that.
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
