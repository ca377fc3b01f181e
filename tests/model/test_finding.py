from __future__ import annotations

import pytest

from swiftdeploy_tasks.model.finding import NAMES, Finding, failure


def failed(name: str, *, unreachable: bool = False) -> Finding:
    return Finding(name, False, f"{name} is wrong", f"mend {name}", unreachable=unreachable)


NO_ENGINE = failed("engine", unreachable=True)


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        *[((failed(name),), 2) for name in NAMES if name != "policies"],
        ((NO_ENGINE,), 5),
        ((failed("policies"),), 4),
        ((NO_ENGINE, failed("policies")), 5),
        ((failed("policies"), NO_ENGINE), 5),
        ((NO_ENGINE, failed("port")), 2),
        ((failed("port"), NO_ENGINE), 2),
        ((failed("policies"), failed("image")), 2),
        ((failed("policies"), NO_ENGINE, failed("env")), 2),
    ],
    ids=lambda value: "+".join(f.name for f in value) if isinstance(value, tuple) else str(value),
)
def test_2_wins_over_5_and_5_over_4(findings: tuple[Finding, ...], code: int) -> None:
    problem = failure(findings)
    assert problem and problem.exit_code == code


def test_nothing_that_failed_is_no_error() -> None:
    assert failure(()) is None
    assert failure((Finding("manifest", True, "good"), Finding("image", None, "not made here"))) is None


def test_the_error_is_the_one_that_decides_the_code_and_counts_the_others() -> None:
    problem = failure((failed("policies"), Finding("image", True, "good"), failed("port"), failed("env")))
    assert problem
    assert problem.message == "port: port is wrong (and 2 more failed checks)"
    assert problem.next == "mend port"


def test_one_other_is_one_check() -> None:
    problem = failure((failed("port"), failed("env")))
    assert problem and problem.message.endswith("(and 1 more failed check)")


def test_without_a_next_command_it_is_to_validate_again() -> None:
    problem = failure((Finding("port", False, "held"),))
    assert problem and problem.next == "correct that, then: invoke validate"
