"""The picture of a project as a page says what the terminal says, on any screen, and does nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.rollout.planner import Deed
from swiftdeploy_tasks.settings import DEFAULTS
from swiftdeploy_tasks.status import web_page
from swiftdeploy_tasks.status.compliance import Unanswered
from swiftdeploy_tasks.status.picture import Picture
from tests.report.looking import do_nothing, looked
from tests.status.values import EVIDENCE, RELEASE, SAMPLE, check, event, picture, verdict

# Its native part and that of the embedded gate do not get on in one process: it is loaded when it is used.
if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAYLOAD = "<script>window.struck = 1</script><img src=x onerror='window.struck = 1'>\x00" + "w" * 500


def made(found: Picture) -> str:
    return web_page.page(found, folders=(DEFAULTS / "templates",))


def troubled(text: str) -> Picture:
    """A project in which everything is wrong, and says this text about it."""
    release = replace(RELEASE, version=text, mode=text)
    sick = replace(SAMPLE, release=release, healthy=False, trouble=text, problem=text)
    return picture(
        project=text,
        traffic=Traffic({"blue": 90, "green": 10}),
        slots={"blue": sick, "green": None},
        compliance=(
            verdict(check(passed=False, observed=text)),
            Unanswered("isolation", (text, "no_privileged"), text),
        ),
        drift=(Deed("start", text, text),),
        problems=(text,),
        events=(event(text), event(text)),
    )


@pytest.mark.parametrize("width", ["narrow", "wide"])
@pytest.mark.parametrize(
    "found", [picture(), troubled(PAYLOAD), picture(is_deployed=False)], ids=["well", "hostile", "nothing"]
)
def test_everybody_can_read_it_and_it_does_nothing(
    browser: Browser, tmp_path: Path, found: Picture, width: Any
) -> None:
    with looked(browser, made(found), tmp_path, width=width) as seen:
        assert not seen.is_scrolled_sideways
        assert seen.hindrances() == []
        assert seen.page.evaluate("window.struck") is None
        do_nothing(seen, tmp_path)


def test_it_says_what_serves_how_it_fares_and_that_all_is_well(browser: Browser, tmp_path: Path) -> None:
    with looked(browser, made(picture()), tmp_path) as seen:
        text = seen.page.locator("body").inner_text()
        assert seen.page.locator("main > *").first.get_attribute("class") == "statement is-good"
    for told in ("All is well", "Version 1.0.0 (stable) serves at http://127.0.0.1:8080/", RELEASE.id):
        assert told in text
    for told in (
        "20",
        "0 %",
        "2.5 ms",
        "10 ms",
        "40 ms",
        "600 requests in 30.0 s",
        "80.5 GB",
        "12 %",
        "max_p99_ms",
    ):
        assert told in text


def test_it_names_the_most_severe_problem_and_the_next_command(browser: Browser, tmp_path: Path) -> None:
    with looked(browser, made(troubled("the disk is full")), tmp_path) as seen:
        first = seen.page.locator("main > *").first
        text = first.inner_text()
        assert first.get_attribute("class") == "statement is-bad"
        body = seen.page.locator("body").inner_text()
    assert "app-blue, which has 90 % of the traffic, is not healthy" in text
    assert "invoke rollback" in text
    assert body.count("the disk is full") >= 8
    for told in ("gone", "not known", "FAIL", "no_privileged"):
        assert told in body


def test_what_a_rule_saw_is_written_in_words() -> None:
    hosts = check("bind", observed=["127.0.0.1", "localhost"], limit=True)
    text = made(picture(compliance=(verdict(hosts, check("disk", observed=None, limit=None)),)))
    assert 'Observed">127.0.0.1, localhost</td><td role="cell" data-label="Limit">yes</td>' in text
    assert 'Observed">no figure</td><td role="cell" data-label="Limit">none</td>' in text


def test_what_says_no_stands_first_and_what_is_not_known_after_it() -> None:
    passed, failed = check("passes"), check("fails", passed=False)
    unasked = Unanswered("isolation", ("unasked",), "nobody answers")
    text = made(picture(compliance=(unasked, verdict(passed, failed))))
    rows = re.findall(r'data-label="Rule">(\w+)<', text)
    assert rows == ["fails", "unasked", "passes"]


def test_a_domain_without_an_answer_has_a_row_where_its_rules_are_not_known() -> None:
    text = made(picture(compliance=(Unanswered("isolation", (), "the policies do not compile"),)))
    assert "every rule</td>" in text
    assert "the policies do not compile</td>" in text


def test_the_evidence_of_a_change_under_way_has_a_table() -> None:
    shown = made(picture(evidence=EVIDENCE, at_work="deploy"))
    assert "37 of 400" in shown and "9 of 1 800 failed" in shown
    assert "Evidence about" not in made(picture())


def test_a_long_limit_does_not_fill_the_table() -> None:
    keys = check("known_keys", observed=[], limit=[f"services.app.key_{number}" for number in range(30)])
    told = (
        made(picture(compliance=(verdict(keys),))).partition('data-label="Limit">')[2].partition("</td>")[0]
    )
    assert told.startswith("services.app.key")
    assert "key_<wbr>3" not in told


def test_an_empty_slot_says_so_in_one_cell(browser: Browser, tmp_path: Path) -> None:
    with looked(browser, made(picture()), tmp_path, width="narrow") as seen:
        row = seen.page.locator("section[aria-labelledby=slots] tbody tr").nth(1)
        assert row.inner_text().splitlines() == ["app-green", "empty", "0 %", "nothing runs"]


def test_times_are_written_as_everywhere_and_only_a_command_is_set_as_one() -> None:
    text = made(picture(compliance=(verdict(check(passed=False)),)))
    assert ">2026-03-01 12:00:00</time> UTC" in text
    assert 'since <time datetime="2026-03-01T11:58:20Z">2026-03-01 11:58:20</time> UTC' in text
    assert "<p>Next: correct what the rule names.</p>" in text
    assert "<p>Next: <code>invoke rollback</code></p>" in made(troubled("x"))


def test_the_headline_rounds_its_figures_as_the_table_does() -> None:
    exact = Check("max_error_rate", False, 0.3248407643312102, 0.01, "error rate: 0.3248407643312102 in 9")
    text = made(picture(compliance=(verdict(exact),)))
    assert "✗ max_error_rate: error rate: 0.3248 in 9" in text
    assert "32.48 %" in text
    assert "0.3248407643312102" not in text


def test_two_folders_of_one_disk_are_one_figure() -> None:
    disks = [{"path": "/srv", "free_gb": 80.5}, {"path": "/var", "free_gb": 80.5}, {"path": "/mnt"}]
    host = picture().host | {"disks": disks}  # type: ignore[operator]
    text = made(picture(host=host))
    assert text.count("<dt>Free on disk</dt>") == 2
    assert "<small>/srv, /var</small>" in text
    assert "<dd>not known<small>/mnt</small>" in text


def test_nothing_deployed_is_no_alarm(browser: Browser, tmp_path: Path) -> None:
    with looked(browser, made(picture(is_deployed=False)), tmp_path) as seen:
        first = seen.page.locator("main > *").first
        assert "Nothing is deployed" in first.inner_text()
        assert first.get_attribute("class") == "statement is-good"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"at_work": "deploy (user ana)"}, "A change is under way"),
        ({"problems": ("OPA is late",)}, "Not everything could be observed"),
    ],
)
def test_all_is_well_only_where_everything_was_seen_and_no_verb_runs(
    changes: dict[str, Any], told: str
) -> None:
    text = made(picture(**changes))
    assert told in text
    assert "All is well" not in text
    assert "is-good" not in text.partition("</style>")[2].partition("</section>")[0]


def test_the_confirmed_release_serves_while_a_candidate_has_as_much_traffic() -> None:
    candidate = replace(SAMPLE, release=replace(RELEASE, version="9.9.9"), weight=50)
    shares = Traffic({"blue": 50, "green": 50})
    slots: Any = {"blue": candidate, "green": replace(SAMPLE, weight=50)}
    found = picture(traffic=shares, slots=slots, confirmed=RELEASE.id)
    assert f"Version {RELEASE.version} (" in made(found)
    assert found.document()["version"] == RELEASE.version
