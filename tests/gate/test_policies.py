"""The shipped policies: each case on both answerers, and the same verdict from both."""

from __future__ import annotations

import copy
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.gate import Bundle, Check, Question, read_bundle
from swiftdeploy_tasks.gate.embedded import ask_embedded, check_bundle
from tests.gate import case_files
from tests.gate.conftest import POLICIES, Ask, WatchingServer
from tests.lab import require


def _told(checks: tuple[Check, ...]) -> dict[str, dict[str, Any]]:
    return {check.rule: {"observed": check.observed, "message": check.message} for check in checks}


@pytest.mark.parametrize("name", case_files.names())
def test_case_gets_the_expected_verdict(name: str, bundle: Bundle) -> None:
    expected = case_files.expected(name)
    verdict = ask_embedded(case_files.question(name), bundle)
    assert _told(verdict.failed) == expected["failed"]
    assert verdict.allow is expected["allow"]
    assert verdict.word == expected.get("verdict", "pass" if verdict.allow else "fail")
    passed = _told(tuple(check for check in verdict.checks if check.passed))
    assert {rule: passed.get(rule) for rule in expected.get("passed", {})} == expected.get("passed", {})


@pytest.mark.parametrize("name", case_files.names())
def test_both_answerers_agree_check_by_check(name: str, opa: WatchingServer, bundle: Bundle) -> None:
    question = case_files.question(name)
    server, embedded = opa.ask(question, bundle), ask_embedded(question, bundle)
    assert (server.word, server.checks) == (embedded.word, embedded.checks)


@pytest.mark.parametrize("domain", ["infrastructure", "isolation"])
def test_every_rule_yields_one_check_that_carries_its_limit(domain: str, ask: Ask, bundle: Bundle) -> None:
    verdict = ask(Question(domain, {}), bundle)
    assert {check.rule: check.limit for check in verdict.checks} == bundle.limits(domain)
    assert [check.rule for check in verdict.checks] == sorted(bundle.limits(domain))
    assert not verdict.allow


def test_shipped_policies_load_and_refuse_an_empty_input(bundle: Bundle) -> None:
    check_bundle(bundle, required=["infrastructure", "isolation"])


def test_no_limit_is_inside_a_rego_file() -> None:
    """A figure of data.json that is written into a policy would not follow its override."""
    lowered = {"min_disk_free_gb": 0, "max_load_per_core": 1000.5, "max_memory_used_percent": 100}
    bundle = read_bundle(POLICIES, {"infrastructure": lowered})
    host = {
        "disks": [{"path": "/", "free_gb": 0}],
        "load_per_core": 1000.5,
        "load_minutes": 5,
        "memory_used_percent": 100,
    }
    assert ask_embedded(Question("infrastructure", {"host": host}), bundle).allow


def test_rego_tests_pass() -> None:
    # OPA's own bound of 5 s a test is too tight for a busy machine.
    words = [require("opa"), "test", "-v", "--timeout", "60s", str(POLICIES)]
    ran = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "PASS" in ran.stdout


def test_policies_are_formatted_and_strict() -> None:
    opa = require("opa")
    formatted = subprocess.run(
        [opa, "fmt", "--fail", "-l", str(POLICIES)], capture_output=True, text=True, timeout=60
    )
    strict = subprocess.run(
        [opa, "check", "--strict", str(POLICIES)], capture_output=True, text=True, timeout=60
    )
    assert (formatted.returncode, strict.returncode) == (0, 0), formatted.stdout + strict.stderr


_FIGURES: st.SearchStrategy[Any] = st.one_of(
    st.integers(-2, 10**6), st.floats(0, 10**6).map(lambda figure: round(figure, 2)), st.none(), st.booleans()
)
_ODD: st.SearchStrategy[Any] = st.one_of(
    _FIGURES, st.text(max_size=5), st.lists(_FIGURES, max_size=2), st.just({})
)
_HOSTS = st.fixed_dictionaries(
    {},
    optional={
        "disks": st.lists(
            st.fixed_dictionaries({}, optional={"path": st.text(max_size=8) | _ODD, "free_gb": _ODD}),
            max_size=4,
        )
        | _ODD,
        "load_per_core": _ODD,
        "load_minutes": _ODD,
        "memory_used_percent": _ODD,
    },
)


@settings(max_examples=60, deadline=None)
@given(host=_HOSTS | _ODD)
def test_both_answerers_agree_about_any_host(host: Any, opa: WatchingServer, bundle: Bundle) -> None:
    question = Question("infrastructure", {"engine": "docker", "host": host})
    assert opa.ask(question, bundle).checks == ask_embedded(question, bundle).checks


_SOUND = case_files.question("isolation_docker_sound").input
_PARTS = st.sampled_from(
    [
        ("specs", "nginx", key)
        for key in (
            "user",
            "ports",
            "networks",
            "volumes",
            "cap_drop",
            "security_opt",
            "mem_limit",
            "pids_limit",
        )
    ]
    + [("specs", "opa", key) for key in ("ports", "networks", "privileged", "network_mode")]
    + [("specs", "app-blue", key) for key in ("volumes", "networks", "extends", "tmpfs", "secrets")]
    + [("specs", key) for key in ("nginx", "opa", "app-blue", "worker")]
    + [("specs",), ("beyond",), ("home",), ("nginx",), ("engine",)]
    + [("nginx", key) for key in ("listen", "operator_hosts", "operator_allow")]
)
_VALUES = st.sampled_from(
    [None, True, False, 0, 1, -1, "", "0", "root", "1:0", "docker", "local", "/run", "ALL", "512m", "opa"]
    + [
        [],
        {},
        ["sd-opa"],
        ["sd-opa", "host"],
        ["include"],
        ["ALL"],
        [None],
        [{}],
        [1],
        ["/:/x"],
        [{"target": 8081}],
        {"sd-opa": None},
        {"A": "B"},
    ]
    + [{"sd-net": {"aliases": []}}, {"sd-net": "x"}, ["$x"]]
    + [
        [{"type": "volume", "source": "sd-logs"}],
        [{"type": "volume", "source": "$x"}],
        [{"type": "bind", "source": "/srv/x", "read_only": True}],
        "/srv",
    ]
    + [["no-new-privileges:true", "seccomp:unconfined"], [{"source": "/var/run/docker.sock"}], ["10.0.0.0/8"]]
)


@settings(max_examples=60, deadline=None)
@given(changes=st.lists(st.tuples(_PARTS, _VALUES), min_size=1, max_size=4))
def test_both_answerers_agree_about_any_change_of_a_sound_stack(
    changes: list[tuple[tuple[str, ...], Any]], opa: WatchingServer, bundle: Bundle
) -> None:
    question = Question("isolation", _changed(changes))
    assert opa.ask(question, bundle).checks == ask_embedded(question, bundle).checks


def _changed(changes: list[tuple[tuple[str, ...], Any]]) -> dict[str, Any]:
    document = copy.deepcopy(dict(_SOUND))
    for (*steps, last), value in changes:
        place: Any = document
        for step in steps:
            place = place.get(step) if isinstance(place, dict) else None
        if isinstance(place, dict):
            place[last] = copy.deepcopy(value)
    return document
