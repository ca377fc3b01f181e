"""A check says whether its rule judged what it saw, or only let it pass."""

from __future__ import annotations

from typing import Any

import pytest

from swiftdeploy_tasks.model.verdict import Check

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
