"""Whatever the records hold, it stays text in its place: nothing of it runs, loads, or rewrites the page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from swiftdeploy_tasks.report import html
from swiftdeploy_tasks.report.recorded_change import Actor
from tests.report import day
from tests.report.looking import do_nothing, looked
from tests.report.test_page import made

# Its native part and that of the embedded gate do not get on in one process: it is loaded when it is used.
if TYPE_CHECKING:
    from playwright.sync_api import Browser

PAYLOAD = "<script>window.struck = 1; document.title = 1</script><img src=x onerror='window.struck = 1'>"
HOSTILE = (
    PAYLOAD,
    f"</title></style></svg></details></script>{PAYLOAD}",
    "\"'><a href=\"javascript:window.struck = 1\" autofocus onfocus='window.struck = 1'>",
    "javascript:window.struck = 1",
    "http://127.0.0.1:9/fetched.png",
    "{{ 7 * 7 }}{% include 'page.css' %}",
    "𝕳𝖊𝖑𝖑𝖔 💥🚀 漢字",
    "\x00\x01\x1b[31m\u202e\u2028\x7f",
    "w" * 1500,
    "$\\frac{1}{0}$ &lt;b&gt; &amp;",
    "a\nb\r\nc\td",
)


def hostile(contents: list[day.Content]) -> list[day.Content]:
    """The same records with a hostile text in the place of every text, but for what makes it that record."""
    kept = {"event", "run", "argv", "outcome", "task", "rule", "domain"}
    number = 0

    def changed(value: Any, name: str = "") -> Any:
        nonlocal number
        if isinstance(value, dict):
            return {key: changed(one, key) for key, one in value.items()}
        if isinstance(value, list):
            return [changed(one) for one in value]
        if isinstance(value, str) and name not in kept:
            number += 1
            return HOSTILE[number % len(HOSTILE)]
        return value

    rows = [{key: changed(value, key) for key, value in row.items()} for row in contents]
    for row in rows:
        for check in row.get("checks", []):
            number += 1
            check["rule"] = HOSTILE[number % len(HOSTILE)]
    return rows


def test_what_a_value_draws_stays_in_its_cell(browser: Browser, tmp_path: Path) -> None:
    with looked(browser, made(day.report()), tmp_path) as seen:
        seen.open_all()
        for name in ("td", "dd", "summary", "pre", "figcaption"):
            first = seen.page.locator(name).first
            assert first.evaluate("one => getComputedStyle(one).contain") == "paint"
            assert first.evaluate("one => getComputedStyle(one).unicodeBidi") == "isolate"


@pytest.mark.parametrize("width", ["narrow", "wide"])
def test_hostile_records_stay_text(browser: Browser, tmp_path: Path, width: Any) -> None:
    text = made(day.report(hostile(day.contents())), project=PAYLOAD)
    with looked(browser, text, tmp_path, width=width) as seen:
        seen.open_all()
        seen.page.wait_for_load_state("networkidle")
        do_nothing(seen, tmp_path)
        assert seen.page.evaluate("[window.struck, document.title]") == [None, f"Audit report of {PAYLOAD}"]
        assert seen.page.locator("script, img, a, iframe, object, form, link, base").count() == 0
        assert not seen.is_scrolled_sideways
        assert PAYLOAD in seen.page.locator("main").inner_text()
        assert seen.hindrances() == []


def test_no_sign_that_rewrites_the_page_is_in_it() -> None:
    override = "web1\u202e) s 0.1 enod\x00\x1b\x7f\x85\u2028\u200b"
    rows = day.contents()
    for row in rows:
        for name in {"version", "mode", "release"} & row.keys():
            row[name] = override
        if row["event"] == "started":
            row["who"] = {"user": override, "host": override}
    text = made(day.report(rows), project=override)
    assert "web1\ufffd) s 0.1 enod" in text
    assert {sign for sign in text if not sign.isprintable()} <= {"\n"}


def test_a_value_of_any_type_is_cleaned_when_it_becomes_text(tmp_path: Path) -> None:
    (tmp_path / "said.j2").write_text("{{ one }} {{ number }}")
    (tmp_path / html.STYLE).touch()
    who = Actor("ana\u202e", "<b>")
    text = html.fill("said.j2", {"one": who, "number": 7}, folders=(tmp_path,))
    assert text == "ana\ufffd on &lt;b&gt; 7"


def test_no_value_is_drawn_over_what_stands_above_it() -> None:
    tower = "z" + "\u0301" * 300
    rows = day.contents()
    for row in rows:
        if row["event"] == "finished" and row.get("error"):
            row["error"] = {"message": tower}
    text = made(day.report(rows))
    assert "z" + "\u0301" * 4 + "\ufffd" in text
    assert "\u0301" * 5 not in text
