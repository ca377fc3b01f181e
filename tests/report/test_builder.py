"""A report says what its records say, in bounded room, whatever they hold."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftdeploy_tasks.history.links import Proven
from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.report import builder, series, timeline
from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.collectors import Distribution
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.report.series import Point
from tests.report.records import BEGAN, WHO, WHOLE, chained, finished, scrape, started, verdict

RELEASE = {"release": "bbb", "version": "1.1.0", "mode": "canary"}
BEFORE = {"release": "aaa", "version": "1.0.0", "mode": "stable"}


def test_a_deploy_is_reported_with_its_prerequisites_steps_and_verdicts() -> None:
    run = {"run": "r1", "argv": "deploy"}
    step = {"event": "step", "action": "route", "target": "nginx", "reason": "so", "weights": {"blue": 100}}
    report = build_report(
        chained(
            [
                started("validate", "r1") | run,
                finished("validate", "r1"),
                started("deploy", "r1") | run,
                {"event": "target", "previous": "aaa", "before": BEFORE, **RELEASE},
                verdict("r1", allow=True),
                step,
                {"event": "step", "outcome": "done", "seconds": 0.7},
                {"event": "confirmed", "outcome": "done", "before": BEFORE, **RELEASE},
                {"event": "mode", "outcome": "done", "from": "stable", "to": "canary", **RELEASE},
                finished("deploy", "r1", spent={"start": 1.5, "bad": "x"}),
            ]
        ),
        WHOLE,
    )
    (change,) = report.changes
    assert (change.verb, change.task, change.outcome, change.exit_code) == ("deploy", "deploy", "done", 0)
    assert (change.at, change.seconds, str(change.actor)) == (BEGAN, 9.0, "ana on web1")
    assert (str(change.before), str(change.after)) == ("1.0.0 (stable)", "1.1.0 (canary)")
    assert change.is_confirmed
    (one,) = change.steps
    assert (one.action, one.weights, one.seconds, one.outcome) == ("route", (("blue", 100),), 0.7, "done")
    assert [(v.domain, v.phase, v.outcome) for v in change.verdicts] == [("canary", "watch", "allowed")]
    assert change.spent == (("start", 1.5),)
    assert [event.kind for event in report.events] == ["release", "mode"]
    assert report.summary.tally("deploy").of("done") == 1
    assert (report.summary.changes, report.summary.failed) == (1, 0)


def test_a_change_is_reported_with_its_command_line() -> None:
    options = {"to": "4f2a|b", "again": True, "json": True, "list": [1], "x": None}
    (change,) = build_report(chained([started("rollback", "r1", options=options)]), WHOLE).changes
    assert change.command == "rollback --to 4f2a|b --again --list 1 --x None"
    (change,) = build_report(chained([started("rollback", "r1", options="none")]), WHOLE).changes
    assert change.command == "rollback"


def test_a_deploy_that_ends_in_a_prerequisite_is_a_deploy() -> None:
    rows = [
        started("policy-check", "r1", argv="deploy"),
        verdict("r1", allow=False, domain="infrastructure", task="policy-check"),
        finished("policy-check", "r1", "refused", 3, error={"kind": "PolicyRefused", "message": "no room"}),
    ]
    report = build_report(chained(rows), WHOLE)
    (change,) = report.changes
    assert (change.verb, change.task, change.outcome, change.error) == (
        "deploy",
        "policy-check",
        "refused",
        "no room",
    )
    (violation,) = report.violations
    assert (violation.verb, violation.rule, violation.observed, violation.limit) == (
        "deploy",
        "max_error_rate",
        0.5,
        0.01,
    )
    (told,) = report.events
    assert (told.kind, told.what) == ("refused", "deploy (in policy-check) refused: no room")
    assert (report.summary.refused, report.summary.failed) == (1, 1)


def test_a_killed_verb_is_reported_as_cut_off_and_a_verb_without_an_end_as_that() -> None:
    rows = [
        started("deploy", "r1"),
        started("teardown", "r2"),
        {"event": "cut_off", "run": "r2", "outcome": "found", "verb": "deploy", "user": "ana"},
        started("promote", "r3"),
    ]
    report = build_report(chained(rows), WHOLE)
    assert [(c.verb, c.outcome, c.ended) for c in report.changes] == [
        ("deploy", "cut off", None),
        ("promote", "no end on record", None),
    ]


def test_an_automatic_rollback_gives_the_time_to_recovery() -> None:
    reason = {"kind": "AppUnhealthy", "message": "it died"}
    rows = [
        started("deploy", "r1"),
        {"event": "rolled_back", "outcome": "done", "reason": reason, "seconds": 0.84, "to": BEFORE},
        finished("deploy", "r1", "failed", 6, log=["no memory left"]),
    ]
    report = build_report(chained(rows), WHOLE)
    (change,) = report.changes
    assert change.rollback is not None
    assert (change.rollback.reason, change.rollback.seconds) == ("it died", 0.84)
    assert change.log.shown == ("no memory left",)
    assert (report.summary.automatic_rollbacks, report.summary.recovery) == (
        1,
        Distribution(0.84, 0.84, 0.84),
    )
    assert report.events.shown[0].what == (
        "automatic rollback, version 1.0.0 (stable) has all traffic again after 0.84 s: it died"
    )


def test_the_report_shows_the_person_that_the_environment_names_as_a_claim() -> None:
    claims = {"SUDO_USER": "ana", "GITHUB_ACTOR": "octo"}
    rows = [started("deploy", "r1", who={**WHO, "user": "root", "uid": 0, "claimed": claims})]
    (change,) = build_report(chained([*rows, finished("deploy", "r1")]), WHOLE).changes
    assert str(change.actor) == "root on web1 (claims SUDO_USER=ana) (claims GITHUB_ACTOR=octo)"


def test_the_holder_of_the_lock_is_reported() -> None:
    holder = {"verb": "deploy", "user": "bo", "host": "web1", "since": "2026-11-24T15:00:00Z", "pid": 7}
    lock = {"event": "lock", "task": "render", "run": "r9", "argv": "promote", "who": WHO, "holder": holder}
    report = build_report(chained([lock, finished("render", "r9", "locked", 8)]), WHOLE)
    assert [(e.kind, e.what, e.who) for e in report.events] == [
        (
            "locked",
            "promote found the project locked by deploy of bo on web1, since 2026-11-24T15:00:00Z",
            "ana on web1",
        )
    ]
    assert (report.summary.tally("promote").of("locked"), report.summary.changes) == (1, 0)


def test_a_breach_that_the_dashboard_saw_begins_and_ends() -> None:
    ill = verdict("s1", allow=False)
    rows = [
        scrape(0, 10.0) | {"verdicts": [verdict("s1", allow=True)]},
        scrape(5, 10.0, 0.5) | {"verdicts": [ill]},
        scrape(10, 10.0, 0.6),
        scrape(15, 10.0) | {"verdicts": [verdict("s1", allow=True)]},
    ]
    report = build_report(chained(rows), WHOLE)
    assert [(e.kind, e.at - BEGAN) for e in report.events] == [("breach", 5), ("breach", 15)]
    assert (report.summary.breach, report.summary.recovery) == (Distribution(10, 10, 10), None)
    assert [(v.verb, v.rule) for v in report.violations] == [("status", "max_error_rate")]


def test_a_fault_that_several_verbs_saw_is_reported_once_per_slot() -> None:
    chaos = {"event": "chaos", "slot": "blue", "release": "aaa", "kind": "error"}
    seen, gone = chaos | {"outcome": "seen"}, chaos | {"outcome": "gone"}
    slow = seen | {"kind": "slow"}
    empty: dict[str, Any] = {"event": "scrape", "run": "s1", "outcome": "done", "slots": {"blue": None}}
    rows: list[dict[str, Any]] = [
        seen,
        seen | {"run": "s1"},
        slow,
        gone | {"kind": "slow"},
        gone | {"kind": "slow", "run": "s1"},
    ]
    rows += [
        seen,
        empty,
        seen,
        seen | {"release": "bbb"},
        {"event": "rolled_back"},
        seen | {"release": "bbb"},
    ]
    report = build_report(chained(rows), WHOLE)
    told = [(e.kind, e.at - BEGAN) for e in report.events if e.kind != "rolled_back"]
    assert [kind for kind, _ in told] == ["chaos", "chaos", "chaos_gone"] + ["chaos"] * 4
    assert [at for _, at in told] == [0, 2, 3, 5, 7, 8, 10]


def test_a_time_that_goes_back_is_kept_and_said() -> None:
    report = build_report(
        chained([started("status", "s1", after=60), finished("status", "s1", after=10)]), WHOLE
    )
    assert [(e.kind, e.what) for e in report.events] == [("clock", "the clock went back by 50.0 s")]


def test_rows_outside_the_period_are_left_out_and_a_change_that_reaches_into_it_is_not() -> None:
    rows = [
        started("deploy", "r1", after=0),
        verdict("r1", allow=False, after=5),
        finished("deploy", "r1", "refused", 3, after=20),
        started("rollback", "r2", after=30),
        finished("rollback", "r2", after=40),
        started("promote", "r3", after=70),
    ]
    report = build_report(chained(rows), WHOLE, Period(BEGAN + 10, BEGAN + 50))
    assert [change.verb for change in report.changes] == ["deploy", "rollback"]
    assert report.violations.total == 0
    assert (report.summary.records, report.summary.first, report.summary.last) == (3, BEGAN + 20, BEGAN + 40)


def test_records_that_the_head_does_not_verify_are_reported_and_marked() -> None:
    rows = [started("deploy", "r1"), verdict("r1", allow=False), started("rollback", "r2")]
    rows += [verdict("r2", allow=False), finished("rollback", "r2")]
    records = chained(rows)
    broken = Integrity(Verification(False, 4, 4, "removed", proven=Proven(5, 5, before=3)))
    report = build_report([*records[:3], records[4]], broken)
    assert [(change.verb, change.proven) for change in report.changes] == [
        ("deploy", False),
        ("rollback", False),
    ]
    forged = Integrity(Verification(False, 6, 3, "was duplicated", proven=Proven(2, 5, before=2)))
    report = build_report([*records[:2], records[1], *records[2:]], forged)
    assert [violation.proven for violation in report.violations] == [False, True, True]
    lost = Integrity(Verification(False, 5, None, "head missing"))
    assert not any(violation.proven for violation in build_report(records, lost).violations)


def rates(report: AuditReport, slot: str = "blue") -> list[Point]:
    return [
        point for one in report.series if (one.slot, one.measured) == (slot, "rate") for point in one.points
    ]


def test_scrapes_that_are_far_apart_have_a_gap_between_them() -> None:
    rows = [scrape(0, 1.0), scrape(5, 2.0), scrape(10, None), scrape(15, 3.0), scrape(300, 4.0)]
    points = rates(build_report(chained(rows), WHOLE))
    assert [(point.at - BEGAN, point.last, point.is_after_gap) for point in points] == [
        (0, 1.0, True),
        (5, 2.0, False),
        (15, 3.0, True),
        (300, 4.0, True),
    ]


def test_a_scrape_that_finds_a_slot_empty_or_with_another_release_ends_its_line() -> None:
    rows = [scrape(0, 1.0), scrape(5, 1.0), scrape(10, 1.0) | {"slots": {"blue": None, "green": None}}]
    rows += [scrape(15, 2.0), scrape(20, 2.0), scrape(25, 2.0, release="bbb"), scrape(30, 1.0, release="bbb")]
    points = rates(build_report(chained(rows), WHOLE))
    assert [(point.at - BEGAN, point.is_after_gap) for point in points] == [
        (0, True),
        (5, False),
        (15, True),
        (20, False),
        (25, True),
        (30, False),
    ]


def test_a_long_series_is_thinned_and_keeps_its_lowest_and_highest() -> None:
    many = 6 * series.MOST_POINTS
    rows = [scrape(5 * n, {100: 0.0, many // 2: 99.0}.get(n, 10.0)) for n in range(many)]
    points = rates(build_report(chained(rows), WHOLE))
    assert series.MOST_POINTS / 4 <= len(points) <= series.MOST_POINTS
    assert (min(point.low for point in points), max(point.high for point in points)) == (0.0, 99.0)
    assert [point.is_after_gap for point in points] == [True] + [False] * (len(points) - 1)


def test_tables_keep_their_newest_rows_and_say_how_many_went() -> None:
    many = builder.MOST_CHANGES + 7
    rows = [row for n in range(many) for row in (started("deploy", f"r{n}"), finished("deploy", f"r{n}"))]
    report = build_report(chained(rows), WHOLE)
    assert (len(report.changes.shown), report.changes.left_out) == (builder.MOST_CHANGES, 7)
    assert report.changes.shown[-1].run == f"r{many - 1}"
    assert report.summary.tally("deploy").runs == many


def test_a_refusal_is_not_pushed_out_by_watching_that_all_is_well() -> None:
    rows = [started("deploy", "r1"), verdict("r1", allow=False)]
    rows += [verdict("r1", allow=True) for _ in range(500)]
    (change,) = build_report(chained(rows), WHOLE).changes
    assert change.verdicts.shown[0].outcome == "refused"
    assert change.verdicts.total == 501
    assert len(change.verdicts.shown) < 50


ODD: list[Any] = [None, True, -1, 10**400, 1e308, "", "x", "2026", [], [None], [{}], [[]], {}, {"": None}]
ODD += [{"message": 3, "release": "a", "seconds": "b", "requests": [], "phase": {}, "rule": 5}]
ODD += [[{"rule": "a", "evidence": {"verdict": ["pass"]}}], [{"rule": "a", "evidence": "undecided"}]]
NAMES = """outcome who argv options home exit_code error spent log holder from to before release version mode
    reason seconds kind slot target targets what found expected verb user since torn domain input checks
    revision duration_ms slots verdicts action weights allow verdict"""
odd = st.sampled_from(ODD)
fields = st.dictionaries(
    st.sampled_from(NAMES.split()), odd | st.fixed_dictionaries({"blue": odd}), max_size=6
)
events = st.sampled_from([*sorted({*builder._ADD, *timeline._DESCRIBE}), "target", "step", "unheard of"])


@given(
    st.lists(
        st.tuples(fields, events, st.sampled_from(["deploy", "status", ""]), st.sampled_from(["r1", ""])),
        max_size=10,
    )
)
def test_no_record_stops_the_story(contents: list[tuple[dict[str, Any], str, str, str]]) -> None:
    rows = [{**odd, "event": event, "task": task, "run": run} for odd, event, task, run in contents]
    report = build_report(chained(rows), WHOLE)
    assert report.summary.records == len(contents)


@pytest.mark.parametrize(
    ("phase", "allow", "said", "word"),
    [
        ("watch", True, "pass", "pass"),
        ("step_end", True, "undecided", "undecided"),
        ("step_end", False, "fail", "fail"),
        ("before", True, "pass", "allowed"),
        ("watch", True, None, "allowed"),
        ("watch", False, None, "refused"),
        ("watch", False, "pass", "refused"),
        ("watch", True, "fail", "allowed"),
        ("watch", True, ["pass"], "allowed"),
    ],
)
def test_a_verdict_about_a_step_has_the_word_of_the_policy(
    phase: str, allow: bool, said: object, word: str
) -> None:
    rows = [started("deploy", "r1"), verdict("r1", allow=allow, verdict=said, input={"phase": phase})]
    (change,) = build_report(chained(rows), WHOLE).changes
    assert [one.word for one in change.verdicts] == [word]


def test_numbers_beyond_all_bounds_and_dates_that_do_not_exist_are_reported() -> None:
    records = chained([started("deploy", "r1"), verdict("r1", allow=False, observed=10**400)])
    records[1] = {**records[1], "time": "9999-99-99T99:99:99.999Z"}
    (violation,) = build_report(records, WHOLE).violations
    assert (violation.observed, violation.at) == ("beyond all figures", BEGAN)


def test_a_done_deploy_of_what_ran_already_in_the_other_slot_is_confirmed() -> None:
    target = {"event": "target", "before": BEFORE, **BEFORE}
    rows = [started("deploy", "r1"), target, finished("deploy", "r1")]
    (change,) = build_report(chained(rows), WHOLE).changes
    assert change.is_confirmed


def test_a_list_of_releases_is_no_rollback() -> None:
    rows = [started("rollback", "r1", options={"list": True}), finished("rollback", "r1")]
    report = build_report(chained(rows), WHOLE)
    assert report.changes.total == report.summary.tally("rollback").runs == 0


def test_a_killed_verb_is_reported_with_the_task_and_the_step_at_which_its_records_end() -> None:
    step = {"event": "step", "action": "hold", "target": "app-green", "reason": "so"}
    rows = [
        started("policy-check", "r1", argv="deploy"),
        finished("policy-check", "r1"),
        started("deploy", "r1"),
        step,
    ]
    (change,) = build_report(chained(rows), WHOLE).changes
    assert (change.task, change.error) == ("deploy", "its records end at the step hold app-green")


def test_an_automatic_rollback_is_reported_once_and_an_interruption_with_its_traffic() -> None:
    back = {"event": "rolled_back", "seconds": 0.5, "reason": {"message": "sick"}, "to": BEFORE}
    rows = [
        started("deploy", "r1"),
        back,
        finished("deploy", "r1", "refused", 3, error={"message": "sick"}),
        started("deploy", "r2"),
        {"event": "undone", "run": "r2", "outcome": "done", "traffic": "blue 100"},
        finished("deploy", "r2", "interrupted", 130, error={"message": "interrupted"}),
    ]
    assert [event.what for event in build_report(chained(rows), WHOLE).events] == [
        "automatic rollback, version 1.0.0 (stable) has all traffic again after 0.50 s: sick",
        "deploy undone, traffic goes to blue 100",
        "deploy interrupted",
    ]
