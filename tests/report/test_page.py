"""The page shows what happened, on any screen, and does nothing else."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import pytest
from PIL import Image

from swiftdeploy_tasks.report import sections
from swiftdeploy_tasks.report.audit_report import AuditReport, Kind, TimelineEvent
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.markdown import markdown
from swiftdeploy_tasks.report.page import page
from swiftdeploy_tasks.report.period import Period
from swiftdeploy_tasks.settings import DEFAULTS
from tests.report import day
from tests.report.looking import do_nothing, looked
from tests.report.records import BEGAN, WHOLE, chained, finished, started, verdict
from tests.report.test_markdown import Rendered

# Its native part and that of the embedded gate do not get on in one process: it is loaded when it is used.
if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def made(report: AuditReport, project: str = "shop") -> str:
    return page(report, project=project, made=1_764_000_000.0, folders=(DEFAULTS / "templates",))


@pytest.fixture(scope="module")
def whole() -> str:
    return made(day.report())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_everybody_can_read_it_on_any_screen(
    browser: Browser, whole: str, tmp_path: Path, width: str, scheme: str
) -> None:
    with looked(browser, whole, tmp_path, width=width, scheme=scheme) as seen:  # type: ignore[arg-type]
        assert not seen.is_scrolled_sideways
        seen.open_all()
        assert not seen.is_scrolled_sideways
        do_nothing(seen, tmp_path)
        assert seen.hindrances() == []


@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_every_picture_is_there_once_is_not_empty_and_has_words(
    browser: Browser, whole: str, tmp_path: Path, width: str
) -> None:
    with looked(browser, whole, tmp_path, width=width) as seen:  # type: ignore[arg-type]
        seen.open_all()
        shown = [one for one in seen.page.locator("svg").all() if one.is_visible()]
        names = [one.get_attribute("aria-labelledby") or "" for one in shown]
        for name in day.PICTURES:
            assert names.count(f"{name}-{width}-title") == 1
        assert sum(name.startswith("change-") for name in names) == 3
        assert sum(name.startswith("rule-") for name in names) == 3
        for one in shown:
            box = one.bounding_box()
            assert box and box["width"] > 200 and box["height"] > 80
            assert one.locator("path[stroke]").count() > 5
            assert one.locator("xpath=ancestor::figure//figcaption/p").text_content()


@pytest.mark.parametrize("drawn", ["path[stroke='#0072b2']", "g[clip-path] > use[stroke='#24292f']"])
def test_what_is_drawn_stands_out_in_the_light_and_in_the_dark(
    browser: Browser, whole: str, tmp_path: Path, drawn: str
) -> None:
    darkest, lightest = {}, {}
    for scheme in ("light", "dark"):
        with looked(browser, whole, tmp_path, scheme=scheme) as seen:
            one = seen.page.locator(f".is-wide {drawn}").first
            levels = Image.open(io.BytesIO(one.screenshot())).convert("L").histogram()
            found = [level for level, count in enumerate(levels) if count]
            darkest[scheme], lightest[scheme] = found[0], found[-1]
    assert darkest["light"] < 130 and lightest["light"] > 240
    assert darkest["dark"] < 30 and lightest["dark"] > 120


def test_that_the_history_is_whole_is_said_before_all_else(
    browser: Browser, whole: str, tmp_path: Path
) -> None:
    with looked(browser, whole, tmp_path) as seen:
        statement = seen.page.locator("main > *").first
        assert "The history is whole" in statement.inner_text()
        assert statement.get_attribute("class") == "statement is-good"
        assert "not verified" not in seen.page.locator("body").inner_text()


def test_what_is_wrong_with_the_history_is_said_before_all_else(browser: Browser, tmp_path: Path) -> None:
    report = day.report(bad=(90, "its hash is not that of its content"))
    with looked(browser, made(report), tmp_path) as seen:
        statement = seen.page.locator("main > *").first
        told = statement.inner_text()
        assert "Line 90 of history.jsonl: its hash is not that of its content." in told
        assert "Verified by the head: records 91 to " in told
        assert statement.get_attribute("class") == "statement is-bad"
        cells = seen.page.locator("section[aria-labelledby=timeline] td[data-label=Record]")
        marked = [text for text in cells.all_inner_texts() if "not verified" in text]
        assert 0 < len(marked) < cells.count()
        assert seen.hindrances() == []


def test_a_rollover_opens_to_all_that_is_known_of_it(browser: Browser, whole: str, tmp_path: Path) -> None:
    with looked(browser, whole, tmp_path) as seen:
        details = seen.page.locator("section > details", has_text="automatic rollback")
        assert not details.locator("h4").first.is_visible()
        details.locator("summary").first.press("Enter")
        details.locator(".folded summary", has_text="1 of 2 passed").press("Enter")
        text = details.inner_text()
        for told in (
            "1.0.0 (canary) → 1.1.0 (canary)",
            "blue 90 %, green 10 %",
            "start 1.5 s",
            "500 requests in 5.0 s, 100/s, 42 % errors, 12 ms p99",
            "refused by embedded, 3 ms",
            "r3",
            "✗ max_error_rate: 42 %, limit 1 %",
            "✓ max_p99_ms 12 ms, limit 500 ms",
            "release bbb",
            "release ccc",
            "1.2 s after the breach",
            *day.LOG,
        ):
            assert told in text


def test_what_was_not_judged_is_not_shown_as_passed() -> None:
    few = day.check("max_error_rate", 1.0, 0.01, passed=True)
    few["message"] = "error rate: 1 in 2 requests over 5 s, not judged before 20"
    rows = day.contents()
    for row in rows:
        if row["event"] == "verdict" and row["domain"] == "canary":
            row["checks"] = [few]
    text = made(day.report(rows))
    text = text.replace("<wbr>", "")
    assert '<span class="neutral">– max_error_rate not judged</span>' in text
    assert '<span class="neutral">– max_error_rate not judged 100 %, limit 1 %</span>' in text
    assert "✓ max_error_rate" not in text
    assert ">not judged</text>" in text


def test_what_a_rule_saw_is_written_in_words() -> None:
    hosts = {"rule": "bind", "passed": False, "observed": ["127.0.0.1", "localhost"], "limit": True}
    local = {"rule": "disk", "passed": True, "observed": None, "limit": None, "message": "not on local"}
    rows = day.contents()
    for row in rows:
        if row["event"] == "verdict" and row["domain"] == "infrastructure":
            row["checks"] = [local, hosts, local]
    text = made(day.report(rows)).replace("\n", "")
    assert (
        '<span class="bad">✗ bind 127.0.0.1, localhost</span></li><li><span class="good">✓ disk not' in text
    )
    assert '<td role="cell" data-label="Last observed">not on local</td>' in text
    for python in ("[&#39;", "True", "None", "not known"):
        assert python not in text.partition("<h2")[2]


def test_an_automatic_rollback_and_a_breach_that_a_person_ended_are_timed_separately() -> None:
    rows = day.contents()
    for after, allow in ((610, False), (680, True)):
        row = next(row for row in rows if row["event"] == "scrape" and row["after"] == after)
        row["verdicts"] = [{"domain": "canary", "allow": allow, "checks": []}]
    report = day.report(rows)
    told = "median 1.2 s, longest 1.2 s"
    ill = "median 70.0 s, longest 70.0 s"
    assert f"from the breach to all traffic back: {told}<" in made(report)
    assert f"however it ended: {ill}<" in made(report)
    text = markdown(report, project="shop", made=0.0)
    assert f"| Automatic rollbacks | once (from the breach to all traffic back: {told}) |" in text
    assert f"| 70.0 s (as dashboards saw it, however it ended: {ill}) |" in text


def test_each_row_names_its_record(browser: Browser, whole: str, tmp_path: Path) -> None:
    report = day.report()
    with looked(browser, whole, tmp_path) as seen:
        for name, rows in (("timeline", report.events), ("violations", report.violations)):
            cells = seen.page.locator(f"section[aria-labelledby={name}] td[data-label=Record]")
            assert cells.all_inner_texts() == [str(row.seq) for row in rows]


def test_on_paper_nothing_is_closed(browser: Browser, whole: str, tmp_path: Path) -> None:
    with looked(browser, whole, tmp_path) as seen:
        seen.page.emulate_media(media="print")
        hidden = [one for one in seen.page.locator("details h4").all() if not one.is_visible()]
        assert seen.page.locator("details h4").count() > 0
        assert hidden == []


def cells_of(page: Page) -> list[list[list[str]]]:
    """The cells of every table and list of facts, and the lines of each log, as a page shows them."""
    found: list[list[list[str]]] = page.evaluate(
        """() => [...document.querySelectorAll("table, dl, pre")].map(one => {
            for (const folded of one.querySelectorAll(".folded ul, wbr")) folded.remove();
            one.normalize();
            if (one.tagName == "PRE") return one.innerText.trim().split("\\n").map(line => [line]);
            return [...one.querySelectorAll("tbody tr, dl > div")].map(row => [...row.children].map(
                cell => [...cell.childNodes].map(part => part.textContent.trim()).filter(Boolean).join("; ")
            ))
        })"""
    )
    return found


def as_facts(cells: list[list[str]]) -> list[list[str]]:
    """Cells with a value and a remark in the form of the Markdown report."""
    return [[name, value.replace("; ", " (", 1) + ")" * ("; " in value)] for name, value in cells]


def test_the_page_and_the_markdown_say_the_same_cell_by_cell(browser: Browser, tmp_path: Path) -> None:
    rows = day.contents()
    for row in rows:
        for check in row.get("checks", []):
            check["observed"] /= 7
            check["message"] = f"error rate: {check['observed']} in 2 requests, at most 0.01 wanted"
        if error := row.get("error"):
            error["message"] = "error rate: 0.4915254237288136 in 59 requests"
    report = day.report(rows)
    with looked(browser, made(report), tmp_path) as seen:
        seen.open_all()
        lines = seen.page.locator("summary:has(h3)").all_inner_texts()
        shown = cells_of(seen.page)
        heading = seen.page.locator("header p").inner_text()
    text = markdown(report, project="shop", made=1_764_000_000.0)
    summary, timeline, violations, changes, *told = [table[1:] for table in Rendered(text).tables]
    in_page_order = [summary, timeline, *told[:-1], violations, told[-1]]
    assert [as_facts(one) if len(one[0]) == 2 else one for one in shown] == in_page_order
    for line, cells in zip(lines, changes, strict=True):
        assert all(cell in line for cell in cells)
    assert heading in text


@pytest.mark.parametrize(
    ("period", "asked"),
    [
        (Period(), "Period: all of the history. On record: 2026-11-24 15:00:00 to 15:14:55 UTC"),
        (Period(BEGAN + 600), "Period: since 2026-11-24 15:10:00 UTC. On record: 2026-11-24 15:10:00 to"),
        (Period(until=BEGAN), "Period: until 2026-11-24 15:00:00 UTC; no record in it."),
        (Period(BEGAN, BEGAN + 60.5), "Period: 2026-11-24 15:00:00 to 15:01:00 UTC. On record: "),
    ],
)
def test_which_period_was_asked_for_is_said_and_what_of_it_is_on_record(period: Period, asked: str) -> None:
    report = build_report(chained(day.contents()), WHOLE, period)
    assert asked in markdown(report, project="shop", made=0)


def much(changes: int, verdicts: int, checks: int) -> AuditReport:
    """Many refused changes, each with a long reason."""
    failed = [
        {"rule": f"rule_{number}", "passed": False, "observed": None, "limit": None, "message": "<" * 1000}
        for number in range(checks)
    ]
    rows = []
    for number in range(changes):
        run = f"r{number}"
        rows += [started("deploy", run), *(verdict(run, allow=False, checks=failed) for _ in range(verdicts))]
        rows.append(finished("deploy", run, f"refused {number}", 3, log=["&" * 1000] * 50))
    return build_report(chained(rows), WHOLE)


def test_however_much_is_on_record_the_page_stays_small_and_says_what_it_leaves_out() -> None:
    report = much(changes=40, verdicts=20, checks=12)
    text = made(report)
    assert len(text) < 8_000_000
    told = text.count("<details>")
    assert 0 < told < 40
    first = report.changes.shown[0].seq
    assert f"the history has them from record {first} on." in text
    assert text.count("Its details exceed the size of this page") == 40 - told
    assert "34 in 34 other ways" in text
    assert "34 in 34 other ways" in markdown(report, project="shop", made=0)


def test_what_a_list_leaves_out_is_said_in_both() -> None:
    checks = [
        {"rule": f"rule_{number}", "passed": True, "observed": 1, "limit": 2, "message": ""}
        for number in range(107)
    ]
    rows = [
        started("deploy", "r1"),
        verdict("r1", allow=True, checks=checks),
        *(verdict("r1", allow=True, checks=checks, domain=f"other {number}") for number in range(2)),
        finished("deploy", "r1", log=[f"line {number}" for number in range(53)]),
    ]
    report = build_report(chained(rows), WHOLE)
    for text in (made(report), markdown(report, project="shop", made=0)):
        assert "3 older lines are not shown." in text
        assert "line 3\n" in text or "| line 3 |" in text
        assert text.count("There were more rules than the 200 that are listed.") == 1
        assert "100 of 100 passed; 7 more are not listed" in text


def test_shares_of_no_slot_are_reported_as_that_in_both() -> None:
    step = {"event": "step", "run": "r1", "action": "route", "target": "nginx", "reason": "it ends"}
    rows = [started("deploy", "r1"), step | {"weights": {}}, finished("deploy", "r1")]
    report = build_report(chained(rows), WHOLE)
    assert 'data-label="Shares then">no slot</td>' in made(report)
    assert "| no slot |" in markdown(report, project="shop", made=0)


def test_every_kind_of_event_has_a_word() -> None:
    for kind in get_args(Kind):
        _, sign, *_ = sections.event(TimelineEvent(1, 0.0, kind, "it happened", "ana", True))
        assert sign.text


def test_a_change_can_be_reached_by_its_heading_while_it_is_closed(
    browser: Browser, whole: str, tmp_path: Path
) -> None:
    with looked(browser, whole, tmp_path) as seen:
        tree = seen.page.locator("section[aria-labelledby=changes]").aria_snapshot()
    headings = [line for line in tree.splitlines() if "[level=3]" in line]
    assert len(headings) == 6
    assert any("deploy ✗ refused, exit 3, automatic rollback" in line for line in headings)


def test_every_stop_of_the_tab_key_has_a_name_and_does_something(
    browser: Browser, whole: str, tmp_path: Path
) -> None:
    with looked(browser, whole, tmp_path) as seen:
        seen.open_all()
        assert seen.page.locator("[tabindex]").count() == 0
        overflowing = """() => [...document.querySelectorAll("main *")].filter(
            one => ["auto", "scroll"].includes(getComputedStyle(one).overflowX)).length"""
        assert seen.page.evaluate(overflowing) == 0


def test_on_a_narrow_screen_a_verdict_is_a_card_and_nothing_is_cut(
    browser: Browser, whole: str, tmp_path: Path
) -> None:
    with looked(browser, whole, tmp_path, width="narrow") as seen:
        seen.open_all()
        cells = seen.page.locator("td[data-label=Rules], td[data-label=Window]").all()
        assert len(cells) > 10
        for cell in cells:
            box = cell.bounding_box()
            assert box and box["x"] >= 0 and box["x"] + box["width"] <= 380
            assert cell.evaluate("one => one.scrollWidth <= one.clientWidth")


def test_every_event_has_a_sign_for_its_kind(browser: Browser, whole: str, tmp_path: Path) -> None:
    with looked(browser, whole, tmp_path) as seen:
        kinds = seen.page.locator("section[aria-labelledby=timeline] td[data-label=Kind]").all_inner_texts()
    assert {"✓ release", "✗ rolled back", "✗ refused", "! chaos", "chaos over", "! interrupted"} <= set(kinds)


def test_a_name_breaks_at_its_underscores_and_a_word_never_for_one_letter(
    browser: Browser, whole: str, tmp_path: Path
) -> None:
    assert "max_<wbr>error_<wbr>rate" in whole
    with looked(browser, whole, tmp_path) as seen:
        seen.page.set_viewport_size({"width": 900, "height": 900})
        seen.open_all()
        assert not seen.is_scrolled_sideways
        for word in ("infrastructure", "2026-11-24"):
            cell = seen.page.locator("td", has_text=word).first
            lines = cell.evaluate(
                """(one, word) => {
                    const text = document.createTreeWalker(one, NodeFilter.SHOW_TEXT).nextNode();
                    const range = document.createRange();
                    range.setStart(text, text.data.indexOf(word));
                    range.setEnd(text, text.data.indexOf(word) + word.length);
                    return range.getClientRects().length }""",
                word,
            )
            assert lines == 1


def test_the_phases_stand_in_the_order_in_which_they_ran() -> None:
    rows = day.contents()
    for row in rows:
        if row["event"] == "finished":
            row["spent"] = {
                "confirm": 1,
                "drain": 1,
                "gate": 1,
                "health": 1,
                "other": 1,
                "remove": 1,
                "start": 1,
            }
    report = day.report(rows)
    phases = re.findall(r"<li>(\w+) <b>", made(report))
    assert phases[:7] == ["start", "health", "gate", "confirm", "drain", "remove", "other"]
    assert "Time spent: start 1.0 s, health 1.0 s, gate" in markdown(report, project="shop", made=0)


def test_a_history_without_records_has_a_page(browser: Browser, tmp_path: Path) -> None:
    with looked(browser, made(day.report([])), tmp_path) as seen:
        do_nothing(seen, tmp_path)
        assert "No event in this period" in seen.page.locator("main").inner_text()
        assert seen.hindrances() == []
