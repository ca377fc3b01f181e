"""A verdict and its checks: in a word, and whether a rule judged what it saw or only let it pass."""

from __future__ import annotations

from typing import Any

import pytest

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate.decision import believe
from swiftdeploy_tasks.model.verdict import Check, Verdict

CASES: dict[str, tuple[str, bool, Any, Any, str, bool]] = {
    "within its limit": ("max_error_rate", True, 0.0, 0.01, "error rate: 0 in 50 requests", True),
    "at its limit": ("max_p99_ms", True, 500, 500, "p99: 500 ms", True),
    "said no": ("max_error_rate", False, 1, 0.01, "error rate: 1 in 50 requests", True),
    "says so": ("max_error_rate", True, 0.0, 0.01, "0 in 2 requests, not judged before 20", False),
    "beyond its limit and let pass": ("min_requests", True, 2, 20, "none is asked for", False),
    "no figure": ("max_error_rate", True, None, 0.01, "judged by health alone", True),
    "no figures": ("nginx", True, "a", "b", "is there", True),
    "a truth": ("max_error_rate", True, True, 0.01, "is there", True),
}


@pytest.mark.parametrize("case", CASES)
def test_what_was_let_pass_without_a_judgement_is_no_judgement(case: str) -> None:
    *fields, is_judged = CASES[case]
    assert Check(*fields).is_judged is is_judged


CHECK = {"rule": "max_error_rate", "passed": True, "observed": 0, "limit": 0.01, "message": "0 of 34 failed"}
EVIDENCE = {"e": 0.3, "proven_e": 1.3, "requests": 34, "bad": 0}


def believed(*, allow: bool = True, evidence: Any = None, **more: Any) -> Verdict:
    check = CHECK | {"passed": allow} | ({} if evidence is None else {"evidence": evidence})
    decision = {"allow": allow, "checks": [check], **more}
    return believe(decision, domain="canary", rules=["max_error_rate"], revision="r1", answered_by="opa")


@pytest.mark.parametrize(
    ("allow", "more", "word"),
    [
        (True, {}, "pass"),
        (False, {}, "fail"),
        (True, {"verdict": "pass"}, "pass"),
        (True, {"verdict": "undecided"}, "undecided"),
        (False, {"verdict": "fail"}, "fail"),
    ],
)
def test_a_verdict_is_a_word_also_where_the_policy_gives_none(
    allow: bool, more: dict[str, str], word: str
) -> None:
    verdict = believed(allow=allow, **more)
    assert (verdict.allow, verdict.word) == (allow, word)


@pytest.mark.parametrize(
    ("allow", "word"),
    [
        (True, "fail"),
        (False, "pass"),
        (False, "undecided"),
        (True, "held"),
        (True, ""),
        (True, True),
        (True, ["pass"]),
    ],
)
def test_a_word_that_contradicts_the_answer_is_no_verdict(allow: bool, word: object) -> None:
    with pytest.raises(GateUnavailable, match=f"allow {str(allow).lower()} and the verdict"):
        believed(allow=allow, verdict=word)


@pytest.mark.parametrize("evidence", ["0.3", 3, [EVIDENCE], True])
def test_evidence_that_is_no_object_is_no_verdict(evidence: object) -> None:
    with pytest.raises(GateUnavailable, match="as evidence"):
        believed(evidence=evidence)


@pytest.mark.parametrize(
    ("allow", "said", "word", "is_judged"),
    [
        (True, "pass", "pass", True),
        (True, "undecided", "undecided", False),
        (True, None, "pass", True),
        (False, "fail", "fail", True),
        (False, "undecided", "fail", True),
    ],
)
def test_a_check_is_undecided_where_it_passed_and_its_evidence_says_so(
    allow: bool, said: str | None, word: str, is_judged: bool
) -> None:
    verdict = believed(allow=allow, evidence=EVIDENCE | {"verdict": said})
    (check,) = verdict.checks
    assert (check.word, check.is_judged) == (word, is_judged)
    assert verdict.undecided == ((check,) if word == "undecided" else ())
    document = verdict.document()
    assert document["verdict"] == verdict.word
    assert document["checks"] == [CHECK | {"passed": allow, "evidence": EVIDENCE | {"verdict": said}}]


def test_a_check_without_evidence_is_written_without_it() -> None:
    document = believed().document()
    assert document["checks"] == [CHECK]
    assert "verdict" not in document


@pytest.mark.parametrize(
    ("messages", "doubt"),
    [
        (["error rate: no requests: undecided", "p99: no requests: undecided"], "no requests"),
        (
            ["error rate: 0 of 3 failed", "p99: no requests: undecided"],
            "error rate: 0 of 3 failed; p99: no requests",
        ),
        ([], ""),
    ],
)
def test_what_undecided_rules_found_alike_is_said_once(messages: list[str], doubt: str) -> None:
    checks = [
        Check(str(at), True, None, 1, text, {"verdict": "undecided"}) for at, text in enumerate(messages)
    ]
    proven = Check("proven", True, None, 1, "proven", {"verdict": "pass"})
    verdict = Verdict("canary", True, (*checks, proven), "", "", 0.0, is_undecided=True)
    assert verdict.doubt == doubt
