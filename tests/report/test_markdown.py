"""The Markdown report renders as what was put in, whatever the records hold."""

from __future__ import annotations

from html.parser import HTMLParser

import cmarkgfm
from hypothesis import example, given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.history.verification import Verification
from swiftdeploy_tasks.report.audit_report import THREAT
from swiftdeploy_tasks.report.builder import build_report
from swiftdeploy_tasks.report.formatting import cut
from swiftdeploy_tasks.report.integrity import Integrity
from swiftdeploy_tasks.report.markdown import markdown, shown, visible
from tests.report import day
from tests.report.records import WHOLE, chained, finished, started, verdict

EXTENSIONS = ["table", "autolink", "strikethrough", "tagfilter", "tasklist"]
HOSTILE = [
    "a|b\\|c\\\\|d\\",
    "two\nlines\r\nand three\u2028four\x0bfive",
    "`code` ``more`` ```",
    "<script>alert(1)</script><!-- <b>&lt;",
    "\x1b[31mred\x00\x07\x9b\x7f",
    "right \u202eto left\u2066 and \ufeffnothing\u200b",
    "[link](http://example.org) ![](x) https://example.org/_a_ www.example.org HTTP://X.example",
    "*bold* __init__ _a_ a_b ~~gone~~ ~x~ $x$ # 1. - + > =",
    "🦜 𝔘𝔫𝔦𝔠𝔬𝔡𝔢 é",
    "x" * 5000,
    "&amp; &#124; &nope; %7C",
    "--- | :-: |",
]
values = st.text(
    alphabet=st.characters() | st.sampled_from("|\\`*_<>[]()~$#&:/.\n\r\x1b\u202ew-"), max_size=40
)


class Rendered(HTMLParser):
    """The tables as lists of rows of the text of their cells, and every tag that stands anywhere."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: list[list[list[str]]] = []
        self.tags: set[str] = set()
        self._cell = False
        self.feed(cmarkgfm.markdown_to_html_with_extensions(text, 0, EXTENSIONS))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
            self._cell = True

    def handle_endtag(self, tag: str) -> None:
        self._cell = self._cell and tag not in ("td", "th")

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.tables[-1][-1][-1] += data


def as_cell(text: str) -> str:
    """What a reader is to see of the text: outer blanks are no part of a cell."""
    return visible(cut(text)).strip(" ")


@settings(deadline=None)
@given(values, values)
@example(*HOSTILE[:2])
@example(*HOSTILE[2:4])
@example(*HOSTILE[4:6])
@example(*HOSTILE[6:8])
@example(*HOSTILE[8:10])
@example(*HOSTILE[10:12])
@example("https://example.org", "http:\\//_")
def test_every_cell_renders_as_the_text_that_was_put_in(one: str, other: str) -> None:
    table = f"| A | B |\n| --- | --- |\n| {shown(one)} | {shown(other)} |\n| end | end |"
    rendered = Rendered(table)
    assert rendered.tables == [[["A", "B"], [as_cell(one), as_cell(other)], ["end", "end"]]]
    assert rendered.tags <= {"table", "thead", "tbody", "tr", "th", "td", "a", "code"}


def test_addresses_do_not_become_links() -> None:
    assert "a" not in Rendered(f"| A |\n| --- |\n| {shown(HOSTILE[6])} |").tags


def test_an_address_reads_as_it_is_as_text_too() -> None:
    said = "Http://127.0.0.1:8080/healthz_ answered 500, see www.example.org/a."
    assert shown(said) == "`Http://127.0.0.1:8080/healthz_` answered 500, see `www.example.org/a.`"


def test_a_report_of_hostile_records_has_every_table_whole() -> None:
    rows = []
    for number, text in enumerate(HOSTILE):
        run, release = f"r{number}", {"release": text, "version": text, "mode": text}
        rows += [
            started("deploy", run, who={"user": text, "host": text, "ci": text}, home=text),
            {"event": "target", "run": run, "before": release, **release},
            verdict(run, allow=False, observed=text, domain=text, error=text, revision=text),
            {
                "event": "step",
                "run": run,
                "action": text,
                "target": text,
                "reason": text,
                "weights": {text: 1},
            },
            {"event": "step", "run": run, "outcome": text, "seconds": 1},
            {"event": "drift", "run": run, "outcome": text, "target": text, "what": text, "found": text},
            {"event": "rolled_back", "run": run, "reason": {"message": text}, "to": release},
            finished("deploy", run, text, 1, error={"message": text}, log=[text, text], spent={text: 1}),
        ]
    text = markdown(build_report(chained(rows), WHOLE), project="a|b\n# c", made=0)
    rendered = Rendered(text)
    assert rendered.tables
    for table in rendered.tables:
        assert {len(row) for row in table} == {len(table[0])}
    logs = [table for table in rendered.tables if table[0] == ["Last lines of the slot that failed"]]
    assert [[cell for (cell,) in table[1:]] for table in logs] == [[as_cell(text)] * 2 for text in HOSTILE]
    assert rendered.tags <= {"h1", "h2", "h3", "p", "strong", "code", *Rendered("| A |\n| - |\n| b |").tags}


def test_the_statement_of_integrity_comes_first_with_the_head_and_the_threat_model() -> None:
    report = day.report()
    text = markdown(report, project="shop", made=0)
    before_the_rest = text.partition("## Summary")[0]
    assert "**The history is whole.**" in before_the_rest
    assert report.integrity.head is not None
    assert report.integrity.head.hash in before_the_rest
    assert THREAT in before_the_rest
    assert "## " not in before_the_rest.partition("## Integrity")[0].replace("# Audit", "", 1)


def test_a_broken_history_is_said_at_the_top_and_its_rows_are_marked() -> None:
    text = markdown(day.report(bad=(100, "was edited: its hash does not match")), project="shop", made=0)
    top = text.partition("## Summary")[0]
    for words in (
        "DOES NOT VERIFY",
        "Line 100 of history.jsonl",
        "was edited",
        "Verified by the head: records 101 to",
    ):
        assert words in top
    timeline = text.partition("## Timeline")[2].partition("## Policy")[0].splitlines()
    marked = [line for line in timeline if "not verified" in line]
    assert 0 < len(marked) < len(timeline) - 4


def test_a_history_that_cannot_be_read_is_said_at_the_top() -> None:
    unread = Integrity(Verification(False, 0, None, "no"), unreadable="The history is shut.")
    text = markdown(build_report((), unread), project="shop", made=0)
    assert "Nothing is verified: the history is shut." in text


def test_tables_say_how_many_rows_they_left_out() -> None:
    rows = [row for n in range(103) for row in (started("deploy", f"r{n}"), finished("deploy", f"r{n}"))]
    assert "\n3 older changes are not shown.\n" in markdown(
        build_report(chained(rows), WHOLE), project="shop", made=0
    )


def test_what_was_not_judged_is_not_counted_as_passed() -> None:
    checks = [
        {"rule": "max_error_rate", "passed": True, "observed": 1.0, "limit": 0.01, "message": "early"},
        {"rule": "max_p99_ms", "passed": True, "observed": 9, "limit": 500, "message": "not judged before 5"},
        {"rule": "min_requests", "passed": True, "observed": 2, "limit": 0, "message": "2 requests"},
    ]
    rows = [started("deploy", "r1"), verdict("r1", allow=True, checks=checks), finished("deploy", "r1")]
    assert " 1 of 3 passed, 2 not judged |" in markdown(
        build_report(chained(rows), WHOLE), project="shop", made=0
    )
    rows[1] = verdict("r1", allow=True, checks=checks[2:])
    assert "| 1 of 1 passed |" in markdown(build_report(chained(rows), WHOLE), project="shop", made=0)


FEW = "errors: new 0 of 34 failed: too few to tell 0.01 from none"
APART = "latency beside stable: stable is not compared"


def told(*words: str, said: str, observed: float = 0.5) -> str:
    """The report on a step with a check of evidence for each word."""
    checks = [
        {"rule": f"max_{nth}", "passed": word != "fail", "observed": observed, "limit": 0.01}
        | {"message": APART if nth else FEW, "evidence": {"e": 1, "verdict": word}}
        for nth, word in enumerate(words)
    ]
    row = verdict(
        "r1", allow=said != "fail", checks=checks, verdict=said, input={"phase": "step_end", "window": None}
    )
    rows = [started("deploy", "r1"), row, finished("deploy", "r1")]
    return markdown(build_report(chained(rows), WHOLE), project="shop", made=0).replace("\\_", "_")


def test_an_undecided_step_is_reported_with_what_is_known_of_it() -> None:
    text = told("undecided", "pass", "undecided", said="undecided")
    assert "| – undecided by embedded, 3 ms | none | – max_0: " + FEW + f"; max_2: {APART}; " in text
    assert "; 1 of 3 passed, 2 undecided |" in text
    assert f"| – max_0 undecided | canary | once | never | {FEW} |" in text


def test_a_step_that_passes_or_fails_is_reported_with_that_word() -> None:
    text = told("pass", "undecided", said="pass")
    assert "| ✓ pass by embedded, 3 ms | none | 1 of 2 passed, 1 undecided |" in text
    assert f"| ✓ max_0 | canary | once | never | {FEW} |" in text
    text = told("fail", "undecided", said="fail")
    assert f"| ✗ fail by embedded, 3 ms | none | ✗ max_0: {FEW}; 0 of 2 passed, 1 undecided |" in text


def test_a_release_that_failed_before_it_had_traffic_gives_none_back() -> None:
    reason, to = {"message": "it died"}, {"release": "aaa", "version": "1.0.0", "mode": "stable"}
    back = {"event": "rolled_back", "run": "r1", "reason": reason, "seconds": 0.194, "to": to}
    ended = finished("deploy", "r1", "failed", 6)
    told = [
        markdown(
            build_report(chained([started("deploy", "r1"), back | more, ended]), WHOLE),
            project="shop",
            made=0,
        )
        for more in ({}, {"had_traffic": False})
    ]
    assert "all traffic was back 194 ms after the breach: it died" in told[0]
    assert "version 1.0.0 (stable) kept all traffic: it died" in told[1]
    assert "before the new release had traffic; the former release kept all of it: it died" in told[1]
    assert "no failed release had traffic" in told[1] and "194 ms" not in told[1]


def test_figures_are_rounded_and_have_their_unit() -> None:
    message = "error rate: 0.1865671641791045 in 67 requests over 4.8750 s to release 1.23456, p99 1570.25 ms"
    check = {"rule": "max_error_rate", "passed": False, "observed": 0.1865671641791045, "limit": 0.01}
    tail = {"rule": "max_p99_ms", "passed": False, "observed": 1570.25, "limit": 500}
    window = {"seconds": 4.875, "requests": 67, "rate": 13.7435, "error_rate": 0.18656, "p99_ms": 1570.25}
    rows = [
        started("deploy", "r1"),
        verdict(
            "r1",
            allow=False,
            duration_ms=1570.0,
            checks=[check | {"message": message}, tail | {"message": ""}],
            input={"phase": "watch", "window": window},
        ),
        finished("deploy", "r1", "refused", 3, error={"message": message}),
    ]
    text = markdown(build_report(chained(rows), WHOLE), project="shop", made=0)
    assert "| Policy latency | 1 570 ms (median; 95 % within 1 570 ms) |" in text
    assert "| 18.66 % | 1 % | error rate: 0.1866 in 67 requests over 4.875 s to release 1.23456, p99 " in text
    assert "| 1570 ms | 500 ms |" in text
    assert "67 requests in 4.9 s, 13.74/s, 18.66 % errors, 1570 ms p99" in text
    assert "max_error_rate: 18.66 %, limit 1 %; max_p99_ms: 1570 ms, limit 500 ms" in text.replace("\\_", "_")
    assert "\n\nerror rate: 0.1866 in 67 requests" in text
