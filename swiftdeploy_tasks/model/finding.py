"""The finding of a pre-flight check."""

from __future__ import annotations

from dataclasses import dataclass

from swiftdeploy_tasks.errors import EngineError, GateUnavailable, PreflightError, SwiftDeployError

NAMES = ("manifest", "fields", "engine", "image", "port", "nginx", "compose", "env", "policies")


@dataclass(frozen=True)
class Finding:
    """One check: passed, failed, or None where it cannot be made here; `next` is the command to type."""

    name: str
    passed: bool | None
    message: str
    next: str = ""
    unreachable: bool = False


def failure(findings: tuple[Finding, ...]) -> SwiftDeployError | None:
    """Return the error that these findings call for, None when nothing failed.

    A failed check is a PreflightError (2); an engine that cannot be reached is an EngineError (5) and
    `policies` a GateUnavailable (4); 2 wins over 5, and 5 over 4.
    """
    failed = [finding for finding in findings if finding.passed is False]
    if not failed:
        return None

    def rank(finding: Finding) -> int:
        return 1 if finding.unreachable else 2 if finding.name == "policies" else 0

    first = min(failed, key=rank)
    kind = (PreflightError, EngineError, GateUnavailable)[rank(first)]
    rest = len(failed) - 1
    more = f" (and {rest} more failed check{'s' if rest > 1 else ''})" if rest else ""
    return kind(f"{first.name}: {first.message}{more}", first.next or "correct that, then: invoke validate")
