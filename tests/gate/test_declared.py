"""The rules that a domain declares, as each engine gives them, and a verdict that lacks one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.local import binaries
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Bundle, Question, opa_check, read_bundle
from swiftdeploy_tasks.gate.embedded import ask_embedded, check_bundle
from tests.gate.conftest import POLICIES
from tests.lab import require

Judge = Callable[[Bundle], Mapping[str, tuple[str, ...]]]
OWN = """package swiftdeploy.freeze

decision := {"allow": input.day == "monday", "checks": checks}

checks := [check(rule) | some rule in ["days", "hours"]]

check(rule) := {"rule": rule, "passed": passed, "observed": null, "limit": null, "message": "frozen"} if {
	passed := object.get(input, "day", "") == "monday"
}
"""


def _by_opa(bundle: Bundle) -> Mapping[str, tuple[str, ...]]:
    require("opa")
    return opa_check.read(
        bundle,
        binaries.run("opa", opa_check.files(bundle), opa_check.words(bundle)).output,
        required=["canary"],
    )


def _by_embedded(bundle: Bundle) -> Mapping[str, tuple[str, ...]]:
    return check_bundle(bundle, required=["canary"])


@pytest.fixture(params=[_by_opa, _by_embedded], ids=["opa", "embedded"])
def judge(request: pytest.FixtureRequest) -> Judge:
    found: Judge = request.param
    return found


def _bundle(folder: Path, **modules: str) -> Bundle:
    for path in POLICIES.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    for name, text in modules.items():
        (folder / f"{name}.rego").write_text(text)
    return read_bundle(folder, {})


def test_shipped_domains_declare_a_rule_for_each_of_their_limits(judge: Judge, bundle: Bundle) -> None:
    found = judge(bundle)
    assert set(found) == set(bundle.domains)
    for domain, rules in found.items():
        assert set(rules) == bundle.limits(domain).keys() - {"evidence", "window"}


def test_a_domain_of_one_s_own_without_a_list_has_the_rules_that_it_answers_with(
    judge: Judge, tmp_path: Path
) -> None:
    decided = OWN.replace('input.day == "monday"', "count([c | some c in checks; c.passed == false]) == 0", 1)
    assert judge(_bundle(tmp_path, freeze=decided))["freeze"] == ("days", "hours")


@pytest.mark.parametrize(
    ("rules", "words"),
    [
        ('["days", "hours", "weeks"]', "answered without its rules 'weeks'"),
        ('["days"]', "rules that the policies do not declare: 'hours'"),
        ("3", "`rules` of freeze is 3, and a list"),
    ],
)
def test_a_list_of_rules_that_differs_from_the_answer_is_refused(
    judge: Judge, tmp_path: Path, rules: str, words: str
) -> None:
    decided = OWN.replace('input.day == "monday"', "count([c | some c in checks; c.passed == false]) == 0", 1)
    bundle = _bundle(tmp_path, freeze=f"{decided}\nrules := {rules}\n")
    with pytest.raises(GateUnavailable, match=words):
        judge(bundle)


def test_an_embedded_answer_without_a_declared_rule_is_no_verdict(tmp_path: Path) -> None:
    text = OWN.replace('"allow": input.day == "monday"', '"allow": true').replace(
        'some rule in ["days", "hours"]', "some rule in shown"
    )
    shown = '\nshown := ["days"] if input.day == "monday"\n\nshown := ["days", "hours"] if not input.day\n'
    refusing = text.replace('"allow": true', '"allow": count([c | some c in checks; c.passed == false]) == 0')
    bundle = _bundle(tmp_path, freeze=refusing + shown)
    with pytest.raises(GateUnavailable, match="answered without its rules 'hours'"):
        ask_embedded(Question("freeze", {"day": "monday"}), bundle)


def test_a_domain_that_does_not_decide_is_refused_by_name(judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(GateUnavailable, match="domain freeze is not defined"):
        judge(_bundle(tmp_path, freeze="package swiftdeploy.freeze\n\nallow := true\n"))


def test_a_variable_without_a_value_is_refused_with_its_place(judge: Judge, tmp_path: Path) -> None:
    text = (POLICIES / "infrastructure.rego").read_text() + "\nother if nobody > 1\n"
    line = text.count("\n")
    with pytest.raises(GateUnavailable, match=rf"infrastructure\.rego:{line}: .*unsafe"):
        judge(_bundle(tmp_path, infrastructure=text))


def test_a_builtin_that_the_embedded_engine_lacks_is_named_with_the_way_out(tmp_path: Path) -> None:
    text = (POLICIES / "infrastructure.rego").read_text()
    bundle = _bundle(tmp_path, infrastructure=f'{text}\nother := net.cidr_contains("10.0.0.0/8", input.ip)\n')
    with pytest.raises(GateUnavailable, match=r"net\.cidr_contains") as raised:
        _by_embedded(bundle)
    assert "gate: server" in raised.value.next
    assert "infrastructure" in _by_opa(bundle)
