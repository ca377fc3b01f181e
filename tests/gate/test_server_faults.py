"""Whatever stands where OPA should: each fault is refused in time, with words of its own."""

from __future__ import annotations

import inspect
import json
import time
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Question, publish, read_bundle
from swiftdeploy_tasks.gate.opa_server import ask_server, wait_ready
from tests.gate.conftest import POLICIES, WatchingServer
from tests.gate.misbehaving import Behaviour, answer, drip, hang, reset, serving
from tests.ports import free_port

QUESTION = Question("infrastructure", {"engine": "docker"})
PASSED = {"rule": "r", "passed": True, "observed": 1, "limit": 2, "message": "fine"}
FAILED = PASSED | {"passed": False, "message": "not fine"}
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n"


def _answer(result: Any = None, *, bundles: Any = None) -> dict[str, Any]:
    """OPA's document, by default with one bundle of the wanted revision."""
    document: dict[str, Any] = {
        "provenance": {"version": "1", "bundles": {".": {"revision": "r1"}} if bundles is None else bundles}
    }
    return document if result is None else document | {"result": result}


def _decision(*checks: dict[str, Any], allow: Any = True) -> dict[str, Any]:
    return {"allow": allow, "checks": list(checks)}


def _complaint(code: str) -> bytes:
    error = {"code": code, "message": "complete rules must not produce multiple outputs"}
    return json.dumps({"code": "internal_error", "message": "error(s)", "errors": [error]}).encode()


FAULTS: dict[str, tuple[Behaviour, str]] = {
    "accepts and hangs": (hang, "no whole answer within"),
    "drips its head": (drip(b"HTTP/1.1 200 OK\r\nX-Slow: ", b"x" * 100), "no whole answer within"),
    "drips its body": (drip(HEAD, b" " * 100), "no whole answer within"),
    "resets": (reset, "connection to OPA at .* broke"),
    "ends early": (drip(HEAD, b"{"), "connection to OPA at .* broke"),
    "not HTTP": (drip(b"SSH-2.0-OpenSSH\r\n", b""), "connection to OPA at .* broke"),
    "500": (answer(b"oops", status="500 Internal Server Error"), "status 500"),
    "evaluation conflict": (
        answer(_complaint("eval_conflict_error"), status="500 Internal Server Error"),
        "status 500 .*eval_conflict_error.*multiple outputs",
    ),
    "404": (answer(b"{}", status="404 Not Found"), "status 404"),
    "redirect": (answer(b"", status="302 Found", headers="Location: /x\r\n"), "status 302"),
    "not JSON": (answer(b"<html>"), "not JSON: b'<html>'"),
    "NaN": (answer(b'{"result": NaN}'), "not JSON"),
    "not UTF-8": (answer(b'{"result": "\xff"}'), "not JSON"),
    "nested too deep": (answer(b"[" * 500_000), "not JSON"),
    "a list": (answer([]), r"\[\] instead of an object"),
    "{}": (answer({}), "an empty object"),
    "result true": (answer({"result": True}), "answered with True instead of an object"),
    "domain undefined": (answer(_answer()), "infrastructure is not defined"),
    "no allow": (answer(_answer({"checks": [PASSED]})), "without a clear allow: None"),
    "allow as text": (answer(_answer(_decision(PASSED, allow="true"))), "without a clear allow: 'true'"),
    "no checks": (answer(_answer({"allow": True})), "answered without checks"),
    "empty checks": (answer(_answer(_decision())), r"answered with \[\] instead of checks"),
    "checks of text": (answer(_answer(_decision("fine"))), "'fine' instead of a check"),  # type: ignore[arg-type]
    "check without limit": (
        answer(_answer(_decision({key: PASSED[key] for key in PASSED if key != "limit"}))),
        "instead of a check",
    ),
    "passed as number": (answer(_answer(_decision(PASSED | {"passed": 1}))), "ill-formed check"),
    "no message": (answer(_answer(_decision(PASSED | {"message": ""}))), "ill-formed check"),
    "a rule twice": (answer(_answer(_decision(PASSED, PASSED))), "two checks of one rule"),
    "a rule is missing": (answer(_answer(_decision(PASSED | {"rule": "q"}))), "without its rules 'r'"),
    "a rule too many": (
        answer(_answer(_decision(PASSED, PASSED | {"rule": "invented"}))),
        "with rules that the policies do not declare: 'invented'",
    ),
    "the check of a rollback where none was asked about": (
        answer(_answer(_decision(PASSED | {"rule": "rollback"}))),
        "without its rules 'r'",
    ),
    "allow with a failed check": (answer(_answer(_decision(FAILED))), "allowed although a check failed: r"),
    "refused with no failed check": (
        answer(_answer(_decision(PASSED, allow=False))),
        "refused although no check failed",
    ),
    "limits missing": (
        answer(_answer({"unusable_limits": ["max_load_per_core"]})),
        "limits of infrastructure are missing or not of their type: max_load_per_core",
    ),
    "no provenance": (answer({"result": _decision(PASSED)}), "no provenance"),
    "no bundle": (answer(_answer(_decision(PASSED), bundles={})), "no provenance"),
    "wrong revision": (
        answer(_answer(_decision(PASSED), bundles={".": {"revision": "r0"}})),
        "revision 'r0', wanted r1",
    ),
    "no revision": (answer(_answer(_decision(PASSED), bundles={".": {}})), "revision None, wanted r1"),
    "two bundles": (
        answer(_answer(_decision(PASSED), bundles={"a": {"revision": "r1"}, "b": {"revision": "r1"}})),
        "2 bundles in force",
    ),
    "more than 1 MiB": (answer(b" " * 2_000_000 + json.dumps(_answer()).encode()), "more than 1048576 bytes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_refused_in_time_with_its_own_words(fault: str) -> None:
    behaviour, words = FAULTS[fault]
    with serving(behaviour) as url, pytest.raises(GateUnavailable, match=words) as raised:
        begun = time.monotonic()
        try:
            ask_server(QUESTION, url=url, revision="r1", rules=["r"], timeout=0.6)
        finally:
            assert time.monotonic() - begun < 1.2
    assert raised.value.exit_code == 4
    assert raised.value.next
    assert "\n" not in raised.value.message


def test_sound_answer_is_believed() -> None:
    with serving(answer(_answer(_decision(PASSED)))) as url:
        verdict = ask_server(QUESTION, url=url, revision="r1", rules=["r"])
    assert (verdict.allow, verdict.revision, verdict.answered_by) == (True, "r1", "opa")
    assert verdict.duration_ms > 0


def test_an_answer_about_a_rollback_needs_no_other_check_than_its_own() -> None:
    question = Question("canary", {"operation": "rollback"})
    with serving(answer(_answer(_decision(PASSED | {"rule": "rollback"})))) as url:
        assert ask_server(question, url=url, revision="r1", rules=["r"]).allow


def test_nothing_listens() -> None:
    with pytest.raises(GateUnavailable, match="nothing listens at"):
        ask_server(QUESTION, url=f"http://127.0.0.1:{free_port()}", revision="r1", rules=["r"])


def test_default_deadline_keeps_within_five_seconds() -> None:
    assert inspect.signature(ask_server).parameters["timeout"].default < 5


def test_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{free_port()}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving(answer(_answer(_decision(PASSED)))) as url:
        assert ask_server(QUESTION, url=url, revision="r1", rules=["r"]).allow


@pytest.mark.parametrize("behaviour", [reset, hang, answer(_answer(bundles={".": {"revision": "old"}}))])
def test_server_that_never_gets_ready_is_given_up_at_the_deadline(behaviour: Behaviour) -> None:
    begun = time.monotonic()
    with serving(behaviour) as url, pytest.raises(GateUnavailable, match=r"not ready within 0\.5 s: "):
        wait_ready(url, "r1", deadline=0.5)
    assert 0.3 < time.monotonic() - begun < 1.1


def test_reset_while_a_server_starts_is_not_yet_an_error() -> None:
    behaviours = [reset, reset, answer(_answer(bundles={".": {"revision": "r0"}}))]

    def starting(connection: Any, over: Any) -> None:
        (behaviours.pop(0) if behaviours else answer(_answer()))(connection, over)

    with serving(starting) as url:
        wait_ready(url, "r1", deadline=5)
    assert behaviours == []


def test_a_server_that_runs_and_is_late_to_get_ready_is_waited_for() -> None:
    behaviours = [reset, hang, reset]

    def starting(connection: Any, over: Any) -> None:
        (behaviours.pop(0) if behaviours else answer(_answer()))(connection, over)

    with serving(starting) as url:
        wait_ready(url, "r1", deadline=0.1, is_starting=lambda: True)
    assert behaviours == []


@pytest.mark.parametrize("behaviour", [answer(_answer(bundles={".": {"revision": "old"}})), answer(b"{")])
def test_a_server_that_answers_otherwise_is_not_waited_for_any_longer(behaviour: Behaviour) -> None:
    with serving(behaviour) as url, pytest.raises(GateUnavailable, match=r"not ready within 0\.1 s"):
        wait_ready(url, "r1", deadline=0.1, is_starting=lambda: True)


def test_policy_that_does_not_compile_never_gets_in_force(opa: WatchingServer, tmp_path: Path) -> None:
    for file in POLICIES.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "infrastructure.rego").write_text("package swiftdeploy.infrastructure\ndecision := {")
    broken = read_bundle(tmp_path, {})
    publish(broken, opa.folder)
    with pytest.raises(GateUnavailable, match=f"not ready within 3 s: .*wanted {broken.revision}"):
        wait_ready(opa.url, broken.revision, deadline=3)
    with pytest.raises(GateUnavailable, match=f"wanted {broken.revision}"):
        ask_server(QUESTION, url=opa.url, revision=broken.revision, rules=["r"])
