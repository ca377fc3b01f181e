"""The dashboard as text: all of it in 80 columns, without colour, and nothing that moves the cursor."""

from __future__ import annotations

import io
import os
import pty
import re
import signal
import time
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from swiftdeploy_tasks.metrics import Scrape, Window
from swiftdeploy_tasks.model.state import State, Traffic
from swiftdeploy_tasks.model.verdict import Check
from swiftdeploy_tasks.rollout.planner import Deed, Step
from swiftdeploy_tasks.status import terminal
from swiftdeploy_tasks.status.compliance import Unanswered
from swiftdeploy_tasks.status.picture import Picture
from swiftdeploy_tasks.system import signals
from tests.status.values import EVIDENCE, RELEASE, SAMPLE, WINDOW, check, event, picture, verdict


def drawn(found: Picture, *, width: int = 80, unicode: bool = True) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, highlight=False, markup=False)
    with console.capture() as captured:
        console.print(terminal.render(found, unicode=unicode))
    return captured.get()


def full(**changes: Any) -> Picture:
    """A picture with everything in it, two slots in the middle of a roll-over."""
    canary = replace(RELEASE, version="1.1.0-rc.1", mode="canary")
    slow = replace(
        SAMPLE,
        release=canary,
        weight=10,
        healthy=False,
        scrape=Scrape(time=1000.0, chaos="slow"),
        window=Window(30.0, 60, 2.0, 0.25, 2600.0, None, None, 10000.0),
    )
    found: dict[str, Any] = {
        "traffic": Traffic({"blue": 90, "green": 10}),
        "slots": {"blue": replace(SAMPLE, weight=90), "green": slow},
        "rates": {"blue": (5.0, 20.0) * 15, "green": (None, *(2.0,) * 29)},
        "compliance": (
            verdict(check("max_load_per_core", observed=0.5, limit=2.0), domain="infrastructure"),
            verdict(*(check(f"rule_{n}", observed=None) for n in range(20)), domain="isolation"),
            verdict(check("max_error_rate", passed=False, observed=0.25, limit=0.01), check()),
        ),
        "drift": tuple(Deed("update", f"file-{n}", "edited by hand") for n in range(6)),
        "events": (event("chaos slow seen in app-green"),),
    }
    return picture(**(found | changes))


def test_everything_is_there_and_fits_into_80_columns() -> None:
    text = drawn(full())
    assert max(map(len, text.splitlines())) <= 80
    for words in ("1.0.0 stable", "1.1.0-rc.1 canary", "90", "10", "http://127.0.0.1:8080/", "local"):
        assert words in text
    for words in (
        "healthy",
        "SICK, chaos: slow",
        "20.0",
        "25.0%",
        ">10000",
        "80.5 GB free",
        "load 0.5",
        "12 %",
    ):
        assert words in text
    assert "1 min 39 s ago" in text
    assert "11:59:58  chaos slow seen in app-green" in text


def test_drift_is_none_only_where_it_was_looked_for() -> None:
    assert re.search(r"drift +none: what runs matches manifest.yaml", drawn(full(drift=())))
    unknown = drawn(full(drift=(), drift_unknown="another verb is running"))
    assert re.search(r"drift +not known: another verb is running", unknown)
    assert "none: what runs" not in unknown


def test_every_rule_is_named_with_what_was_observed_and_its_limit() -> None:
    text = " ".join(drawn(full()).split())
    assert re.search(r"infrastructure pass max_load_per_core 0\.5 \(limit 2\)", text)
    assert all(re.search(rf"rule_{n}\b", text) for n in range(20))
    assert "canary FAIL max_error_rate: 0.25, at most 0.01 wanted pass max_p99_ms 40 (limit 500)" in text


def test_a_domain_that_cannot_be_asked_is_unknown_with_its_rules_and_the_reason() -> None:
    text = " ".join(drawn(picture(compliance=(Unanswered("isolation", ("non_root",), "no OPA"),))).split())
    assert "isolation unknown non_root: no OPA" in text
    assert "pass" not in text


def test_the_evidence_of_a_change_under_way_is_shown_against_its_threshold() -> None:
    text = " ".join(drawn(picture(evidence=EVIDENCE, at_work="deploy")).split())
    assert "evidence max_error_rate 37 of 400, new 3 of 200 failed" in text
    assert "max_error_ratio 1 of 400, new 3 of 200 failed, stable 9 of 1 800" in text
    assert "evidence" not in drawn(picture())


def test_many_differences_are_counted() -> None:
    text = drawn(full())
    assert text.count(" update: edited by hand") == 4
    assert "and 2 more steps: invoke plan" in text


def test_steps_that_only_follow_from_a_difference_are_counted_and_not_listed() -> None:
    whole = picture()
    steps = tuple(
        Step(action, "app-green", "as it goes", State()) for action in ("start", "wait", "watch", "remove")
    )
    text = drawn(replace(whole, drift=steps))
    assert "app-green start: as it goes" in text
    assert "and 3 more steps: invoke plan" in text
    assert "app-green watch" not in text and "app-green remove" not in text


def test_the_first_look_shows_no_rate_and_no_graph() -> None:
    text = drawn(
        picture(
            slots={"blue": replace(SAMPLE, window=None), "green": None}, rates={"blue": (None,), "green": ()}
        )
    )
    figures = [line for line in text.splitlines() if line.startswith("blue")][-1]
    assert re.fullmatch(r"blue(\s+-){6}\s*", figures)
    assert not set(text) & set("▁▂▃▄▅▆▇█")


def test_the_graph_has_a_column_a_look_and_a_blank_for_one_without_a_window() -> None:
    text = drawn(picture(rates={"blue": (0.0, None, 10.0, 20.0), "green": ()}))
    assert "▁ ▅█" in text
    plain = drawn(picture(rates={"blue": (0.0, None, 10.0, 20.0), "green": ()}), unicode=False)
    assert plain.isascii()


def test_nothing_serves_and_nginx_is_down_is_said() -> None:
    text = drawn(picture(traffic=Traffic(), proxy="does not run", slots={"blue": None, "green": None}))
    assert "no release serves" in text and "nginx does not run" in text


def test_a_slot_that_has_the_traffic_and_is_gone_is_said() -> None:
    assert re.search(r"blue\s+GONE\s+100", drawn(picture(slots={"blue": None, "green": None})))


def test_nothing_is_deployed_is_said_with_the_next_command() -> None:
    text = drawn(Picture("2026-03-01T12:00:00Z", "shop", "docker"))
    assert "nothing is deployed on the docker engine; next: invoke deploy" in text


def test_hostile_texts_neither_move_the_cursor_nor_mark_up() -> None:
    evil = "\x1b[2J[bold]x[/bold]\r\x9b31m\u202e"
    found = picture(
        compliance=(verdict(Check("rule", False, None, None, evil)),),
        drift=(Deed("update", evil, evil),),
        problems=(evil,),
        proxy=evil,
        events=(event(evil),),
        slots={
            "blue": replace(SAMPLE, release=replace(RELEASE, version=evil), trouble=evil, window=WINDOW),
            "green": None,
        },
    )
    text = drawn(found)
    assert not set(text) & set("\x1b\r\x9b\u202e")
    assert "[bold]x[/bold]" in text


def test_a_request_to_end_that_got_lost_in_a_look_ends_it_after_that_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals, "_HEARD", [])
    before = {number: signal.getsignal(number) for number in signals.ENDINGS}
    looks: list[int] = []

    def end() -> None:
        raise KeyboardInterrupt

    def look() -> Picture:
        looks.append(1)
        assert len(looks) == 1, "it went on"
        with suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(30)
        return full()

    ours, theirs = pty.openpty()
    try:
        signals.listen(end)
        with open(theirs, "w", encoding="utf-8") as stream:  # noqa: PTH123
            terminal.live(full(), look, stream, every=0.01)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        os.close(ours)
    assert looks == [1]


def test_a_low_terminal_keeps_every_rule_and_the_newest_events() -> None:
    whole = full(events=tuple(event(f"event {n}") for n in range(1, 6)))
    needed = len(drawn(whole).splitlines())
    for height, kept in ((needed, 5), (needed - 2, 3), (10, 1)):
        console = Console(file=io.StringIO(), width=80, height=height, color_system=None)
        with console.capture() as captured:
            console.print(terminal._fitted(console, whole, unicode=True, hint="hint"))
        text = captured.get()
        assert [n for n in range(1, 6) if f"event {n}" in text] == list(range(6 - kept, 6))
        assert "rule_19" in text
