"""Policies that are broken, missing or without limits are never allowed by either engine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Bundle, Question, read_bundle
from swiftdeploy_tasks.gate.embedded import ask_embedded, check_bundle, warm
from tests.gate import case_files
from tests.gate.conftest import POLICIES, Ask

SOUND = case_files.question("host_sound")


def _policies(folder: Path, *, data: str | None = None, **modules: str | None) -> Path:
    """A copy of the shipped policies with some files replaced, or left out where None."""
    texts: dict[str, str | None] = {path.name: path.read_text() for path in POLICIES.iterdir()}
    texts |= {f"{name}.rego": text for name, text in modules.items()}
    if data is not None:
        texts["data.json"] = data
    for name, text in texts.items():
        if text is not None:
            (folder / name).write_text(text)
    return folder


def _bundle(folder: Path, policy: str) -> Bundle:
    return read_bundle(
        _policies(folder, infrastructure=f"package swiftdeploy.infrastructure\n\n{policy}\n"), {}
    )


@pytest.mark.parametrize("limits", [{}, {"infrastructure": {}}])
def test_limits_that_are_missing(tmp_path: Path, limits: Any, ask: Ask) -> None:
    bundle = read_bundle(_policies(tmp_path, data=json.dumps({"limits": limits})), {})
    with pytest.raises(
        GateUnavailable, match=r"limits of infrastructure are missing .*max_load_per_core, max_m"
    ):
        ask(SOUND, bundle)


@pytest.mark.parametrize("domain", ["infrastructure", "isolation"])
@pytest.mark.parametrize("odd", [None, "2", {}, []])
def test_each_limit_that_is_not_of_its_type_is_named(
    tmp_path: Path, domain: str, odd: Any, ask: Ask, bundle: Bundle
) -> None:
    rules = [rule for rule, limit in bundle.limits(domain).items() if type(limit) is not type(odd)]
    limits = {"limits": {domain: bundle.limits(domain) | dict.fromkeys(rules, odd)}}
    with pytest.raises(GateUnavailable, match=f"not of their type: {', '.join(rules)}$"):
        ask(Question(domain, SOUND.input), read_bundle(_policies(tmp_path, data=json.dumps(limits)), {}))


def test_domain_that_no_policy_defines(ask: Ask, bundle: Bundle) -> None:
    with pytest.raises(GateUnavailable, match="canary_of_another_day is not defined"):
        ask(Question("canary_of_another_day", {}), bundle)


def test_decision_that_is_undefined(tmp_path: Path, ask: Ask) -> None:
    with pytest.raises(GateUnavailable, match="infrastructure is not defined"):
        ask(SOUND, _bundle(tmp_path, "decision := input.nowhere"))


def test_evaluation_conflict(tmp_path: Path, ask: Ask) -> None:
    conflict = "decision := true if input.engine\n\ndecision := false if input.host"
    with pytest.raises(GateUnavailable, match=r"contradicts itself|eval_conflict_error"):
        ask(SOUND, _bundle(tmp_path, conflict))


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ("true", "True instead of an object"),
        ('{"allow": true}', "without checks"),
        ('{"allow": true, "checks": []}', "instead of checks"),
        ('{"allow": true, "checks": [{"rule": "r"}]}', "instead of a check"),
        (
            '{"allow": true, "checks": [{"rule": "r", "passed": false, "observed": 1, "limit": 1, '
            '"message": "m"}]}',
            "allowed although a check failed: r",
        ),
    ],
)
def test_decision_that_is_no_verdict(tmp_path: Path, decision: str, words: str, ask: Ask) -> None:
    with pytest.raises(GateUnavailable, match=words):
        ask(SOUND, _bundle(tmp_path, f"decision := {decision}"))


def test_a_fault_of_the_warm_up_is_reported_by_the_first_question(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    broken = _bundle(tmp_path, "not rego at all")
    warm(broken)
    for _ in range(2):
        with pytest.raises(GateUnavailable, match="does not compile"):
            ask_embedded(SOUND, broken)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("policy", ["decision := {", "decision := no_such_function(1)", "not rego at all"])
def test_policy_that_does_not_compile_names_its_file_and_prints_nothing(
    tmp_path: Path, policy: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GateUnavailable, match=r"policy (of )?infrastructure(\.rego)? does not compile"):
        ask_embedded(SOUND, _bundle(tmp_path, policy))
    assert capfd.readouterr() == ("", "")


def test_input_that_is_not_json_is_not_asked(ask: Ask, bundle: Bundle) -> None:
    for odd in (float("nan"), {1, 2}, b"x", "\udc80"):
        with pytest.raises(GateUnavailable, match="infrastructure cannot be put as JSON"):
            ask(Question("infrastructure", {"host": odd}), bundle)


def test_check_names_a_required_domain_that_is_missing(tmp_path: Path) -> None:
    bundle = read_bundle(_policies(tmp_path, isolation=None), {})
    with pytest.raises(GateUnavailable, match="no policy defines the domain isolation"):
        check_bundle(bundle, required=["infrastructure", "isolation"])


def test_check_refuses_a_policy_that_allows_an_empty_input(tmp_path: Path) -> None:
    """The classic: count the violations, and an input without figures has none."""
    violations = 'violation contains "full" if input.free < 10'
    check = '{"rule": "r", "passed": count(violation) == 0, "observed": 0, "limit": 0, "message": "m"}'
    open_gate = f'{violations}\n\ndecision := {{"allow": count(violation) == 0, "checks": [{check}]}}'
    with pytest.raises(GateUnavailable, match="infrastructure allow an empty input"):
        check_bundle(_bundle(tmp_path, open_gate), required=[])


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("{", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "no `limits` by domain"),
        ('{"limits": 3}', "no `limits` by domain"),
        ('{"limits": {"infrastructure": 3}}', "no `limits` by domain"),
        ('{"limits": {"infrastructure": {"max_load_per_core": NaN}}}', "cannot be put as JSON"),
    ],
)
def test_data_that_holds_no_limits_is_refused_when_read(tmp_path: Path, data: str, words: str) -> None:
    with pytest.raises(GateUnavailable, match=words):
        read_bundle(_policies(tmp_path, data=data), {})


def test_missing_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(GateUnavailable, match=r"no policy \(\*\.rego\) in .*nowhere"):
        read_bundle(tmp_path / "nowhere", {})
    (tmp_path / "infrastructure.rego").write_bytes(b"\xff")
    with pytest.raises(GateUnavailable, match=r"infrastructure\.rego cannot be read"):
        read_bundle(tmp_path, {})
    (tmp_path / "infrastructure.rego").write_text("package swiftdeploy.infrastructure\n")
    with pytest.raises(GateUnavailable, match=r"data\.json cannot be read"):
        read_bundle(tmp_path, {})
