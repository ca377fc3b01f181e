"""The report draws the evidence of a change against its threshold, and says what each figure means."""

from __future__ import annotations

import re
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from swiftdeploy_tasks.report import evidence_charts
from swiftdeploy_tasks.report.audit_report import AuditReport
from swiftdeploy_tasks.report.canvas import BOTTOM
from swiftdeploy_tasks.report.change_details import details
from swiftdeploy_tasks.report.charts import Chart
from swiftdeploy_tasks.report.drawing import COLOURS, LIMIT
from swiftdeploy_tasks.report.evidence_series import MOST_POINTS, EvidenceSeries
from swiftdeploy_tasks.report.markdown import markdown
from swiftdeploy_tasks.report.page import page
from swiftdeploy_tasks.report.recorded_evidence import ChangeEvidence
from swiftdeploy_tasks.settings import DEFAULTS
from tests.report import day
from tests.report.evidence import LIMITS, RULES, change, judged, rule, rules, window
from tests.report.looking import do_nothing, looked
from tests.report.records import chained

# Its native part and that of the embedded gate do not get on in one process: it is loaded when it is used.
if TYPE_CHECKING:
    from playwright.sync_api import Browser

DAMAGED = ["many", -1, None, True, [], 10**400]
FOLDERS = (DEFAULTS / "templates",)


def evidence_in(report: AuditReport) -> ChangeEvidence | None:
    (only,) = report.changes
    return only.evidence


def charts(report: AuditReport) -> list[Chart]:
    (found,) = evidence_charts.of_changes(report).values()
    return found


def heights(chart: Chart, colour: str) -> list[float]:
    """How high above the foot of the chart the first line of a colour has its points."""
    found = [part for part in ElementTree.fromstring(chart.wide).iter() if part.get("stroke") == colour]
    line = next(part for part in found if len(part.get("d", "")) > 20)
    foot = evidence_charts.EVIDENCE.height - BOTTOM
    return [foot - float(y) for _, y in re.findall(r"[ML] (\S+) (\S+)", line.get("d", ""))]


def said(report: AuditReport) -> dict[str, dict[str, str]]:
    """The cells of each rule by their head."""
    (only,) = report.changes
    table = details(only).evidence
    assert table
    rows = ([cell.text for cell in row] for row in table.rows)
    return {row[0].split(":")[0]: dict(zip(table.head, row, strict=True)) for row in rows}


def test_the_evidence_rises_through_its_threshold_and_is_clipped_beyond_it() -> None:
    report = change(*(judged(5 + n, rules(e)) for n, e in enumerate([0.001, 1, 400, 4000, 1e30])))
    chart = charts(report)[0]
    assert chart.title == "Evidence against the release"
    below, start, threshold, above, far = heights(chart, COLOURS["blue"])
    assert below == start < threshold < above == far
    assert (threshold - start) / (above - start) == pytest.approx(log(400) / log(4000), abs=0.01)
    assert heights(chart, LIMIT)[0] == pytest.approx(threshold, abs=0.2)
    assert "max_error_rate over 1 000 000" in chart.text and "a rule fails at 400" in chart.text


def test_new_and_stable_are_drawn_side_by_side() -> None:
    _, errors, p99 = charts(change(*(judged(5 + n, rules()) for n in range(5))))
    assert (errors.title, errors.text) == (
        "Errors, in %",
        "new: last 1.5, highest 1.5; stable: last 0.5, highest 0.5.",
    )
    assert (p99.title, p99.text) == ("p99, in ms", "new: last 20, highest 20; stable: last 18, highest 18.")


def test_without_a_count_of_nginx_the_page_of_the_new_slot_is_drawn_alone() -> None:
    alone = judged(5, rules(), clients=None, beside=None, window=window(0.25))
    _, errors, _ = charts(change(alone))
    assert errors.text == "new: last 25, highest 25."


def test_each_figure_has_its_counts_and_what_it_means() -> None:
    proven = rule("max_p99_ms", 0.001, bad=0, proven_e=21.9, why="one boundary")
    found = said(change(judged(5, rules(401, max_p99_ms=proven, max_slow_ratio=rule("max_slow_ratio", 7)))))
    assert list(found) == list(RULES)
    errors, ratio, p99, slow = found.values()
    assert errors["Against the release"] == "✗ 401 of 400"
    assert errors["New"] == "3 of 200 failed" and errors["Stable"] == "not compared"
    assert "fails: a release that keeps the limit gets here in at most 1 of 401 rollouts" in errors.values()
    assert ratio["Stable"] == "9 of 1 800 failed"
    assert ratio["What it means"] == "nothing speaks against the release"
    assert p99["New"] == "0 of 200 took over 500 ms" and p99["Against the release"] == "under 0.01 of 400"
    assert "at most 1 of 21 rollouts; one boundary" in p99["What it means"]
    assert slow["What it means"] == "a release that keeps the limit gets here in at most 1 of 7 rollouts"


def test_no_request_is_said_in_words() -> None:
    found = said(change(judged(5, rules(max_error_rate=rule("max_error_rate", requests=0, bad=0)))))
    assert found["max_error_rate"]["What it means"] == "no request to the new release was counted"


@pytest.mark.parametrize("field", ["e", "proven_e", "requests", "bad"])
@pytest.mark.parametrize("value", DAMAGED)
def test_a_rule_with_a_damaged_figure_is_left_out(field: str, value: Any) -> None:
    report = change(judged(5, rules(max_error_rate=rule("max_error_rate") | {field: value})))
    assert set(said(report)) == {*RULES} - {"max_error_rate"}
    assert "max_error_rate" not in charts(report)[0].text


def test_more_bad_requests_than_requests_are_left_out() -> None:
    assert "max_p99_ms" not in said(change(judged(5, rules(max_p99_ms=rule("max_p99_ms", bad=201)))))


@pytest.mark.parametrize("evidence", [*DAMAGED, {}, {"max_error_rate": 7}, {"other": rule("other")}])
def test_a_record_whose_evidence_is_damaged_is_left_out(evidence: Any) -> None:
    damaged = judged(6, evidence)
    assert evidence_in(change(damaged)) is None
    found = evidence_in(change(judged(5, rules(9)), damaged))
    assert found and found.judged == len(found.points) == 1 and found.last.rules["max_error_rate"].e == 9


@pytest.mark.parametrize("threshold", [*DAMAGED, 0, 1, 1e300])
def test_a_record_without_a_threshold_is_left_out(threshold: Any) -> None:
    record = judged(5, rules()) | {"limits": LIMITS | {"evidence": threshold}}
    assert evidence_in(change(record)) is None


@pytest.mark.parametrize("damaged", [*DAMAGED, {"error_rate": 2, "p99_ms": "slow"}, window("x", -5)])
def test_a_damaged_window_is_not_drawn(damaged: Any) -> None:
    report = change(judged(5, rules(), clients=damaged, beside=damaged))
    assert [chart.title for chart in charts(report)] == ["Evidence against the release"]
    assert "## Deploys" in markdown(report, project="shop", made=1.0)


def test_a_change_without_evidence_has_no_such_chart_or_table() -> None:
    report = day.report()
    assert evidence_charts.of_changes(report) == {}
    assert "Evidence" not in page(report, project="shop", made=1.0, folders=FOLDERS)
    assert "Evidence" not in markdown(report, project="shop", made=1.0)


def test_page_and_markdown_have_the_same_figures_and_escape_them() -> None:
    hostile = rule("max_error_rate", 37, why="<script>|")
    report = change(judged(5, rules(max_error_rate=hostile)))
    shown = page(report, project="shop", made=1.0, folders=FOLDERS)
    written = markdown(report, project="shop", made=1.0)
    for text in ("37 of 400", "3 of 200 failed", "in at most 1 of 400 rollouts", "1 800"):
        assert text in shown and text in written
    assert "<script>" not in shown and "<script>" not in written
    assert all(f'id="{name}-1-title"' in shown for name in ("evidence", "failed", "slow"))


@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_evidence_can_be_read_on_any_screen(browser: Browser, tmp_path: Path, width: Any) -> None:
    long = rule("max_error_rate", 1e308, requests=10**15, why="w" * 1500)
    report = change(judged(5, rules(3)), judged(9, rules(max_error_rate=long)))
    with looked(
        browser, page(report, project="shop", made=1.0, folders=FOLDERS), tmp_path, width=width
    ) as seen:
        seen.open_all()
        assert not seen.is_scrolled_sideways
        do_nothing(seen, tmp_path)
        assert seen.hindrances() == []
        for name in ("evidence", "failed", "slow"):
            box = seen.page.locator(f"svg[aria-labelledby^={name}-]").bounding_box()
            assert box and box["width"] > 200 and box["height"] > 80


def test_long_changes_are_thinned_to_the_highest_evidence() -> None:
    records = chained(judged(float(n), rules(5000 if n == 777 else 1)) for n in range(2000))
    series = EvidenceSeries()
    for n, record in enumerate(records):
        series.add(record, float(n))
    found = series.evidence()
    assert found and found.judged == 2000 and len(found.points) <= MOST_POINTS
    assert max(point.e[0] or 0 for point in found.points) == 5000
