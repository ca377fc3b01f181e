"""The benchmark runs and prints a row for each thing it promises to measure; no figure is judged here."""

from __future__ import annotations

import re
import shutil

import pytest

from bench import big_download, log_looks, looking, open_sockets, planning, proxy, records, sticky
from bench.foundation import main
from tests.lab import require

TABLES = {
    "process": [
        "floor",
        "validate, first time",
        "validate, nothing changed",
        "render, first time",
        "render, nothing changed",
    ],
    "rendering": ["both files, templates loaded too", "both files"],
    "one question": ["embedded, infrastructure", "embedded, isolation"],
}
UNBOUNDED = {"floor: the same syncs", "two slots all day"}
SERVER = ["server, infrastructure", "server, isolation"]


def test_the_benchmark_prints_a_row_for_everything_it_measures(capsys: pytest.CaptureFixture[str]) -> None:
    require("nginx")
    main(rounds=1, questions=2)
    head, *tables, _ = capsys.readouterr().out.split("\n\n")
    printed = {_name(lines[0]): lines[1:] for lines in (table.splitlines() for table in tables)}
    wanted = TABLES | {"one question": TABLES["one question"] + (SERVER if shutil.which("opa") else [])}
    assert "cores" in head and "Python" in head
    for name, rows in wanted.items():
        measured = [row for row in printed[name] if re.search(r"  \d+", row)]
        assert [_name(row) for row in measured] == rows
        assert all(re.search("<.*hold", row, re.IGNORECASE) for row in measured if _is_bounded(row))


def test_the_cost_of_a_plan_is_printed_for_the_engine_that_was_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    require("nginx")
    planning.main(["local"], rounds=1, in_a_row=2)
    _, table = capsys.readouterr().out.split("\n\n")
    head, *rows = table.splitlines()
    names = ["floor", "plan, nothing to change", "plans in a row that found nothing"]
    assert (_name(head), [_name(row) for row in rows]) == ("local", names)
    assert re.search(r"<= 2.5 floors .*hold", rows[1], re.IGNORECASE)


def test_the_cost_of_a_look_is_printed_beside_its_bound(capsys: pytest.CaptureFixture[str]) -> None:
    require("nginx")
    looking.main(["local"], looks=3)
    _, table = capsys.readouterr().out.split("\n\n")
    head, *rows = table.splitlines()
    names = ["a look, median cpu ms", "processes started", "memory at first, MiB", "grown over 3 looks, MiB"]
    assert (_name(head), [_name(row) for row in rows]) == ("local", names)
    assert [bool(re.search("hold", row, re.IGNORECASE)) for row in rows] == [True, True, False, True]


def test_the_cost_of_the_history_is_printed_beside_its_bounds(capsys: pytest.CaptureFixture[str]) -> None:
    records.main(appends=3, records=120, day=600)
    _, *tables = capsys.readouterr().out.split("\n\n")
    printed = {_name(lines[0]): lines[1:] for lines in (table.splitlines() for table in tables)}
    assert list(printed) == ["append, ms", "verify", "scrapes, compressed"]
    assert [len(rows) for rows in printed.values()] == [4, 4, 2]
    bounded = [row for rows in printed.values() for row in rows if _name(row) not in UNBOUNDED]
    assert all(re.search("<= .*hold", row, re.IGNORECASE) for row in bounded)


def test_without_opa_the_server_is_left_out_with_the_reason(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require("nginx")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    main(rounds=1, questions=1)
    printed = capsys.readouterr().out
    assert "server: left out, no opa on PATH" in printed
    assert SERVER[0] not in printed


def _name(row: str) -> str:
    return re.split(r"\s{2,}", row)[0]


def _is_bounded(row: str) -> bool:
    return _name(row) not in {"floor", "both files, templates loaded too"}


def test_the_cost_of_a_look_at_nginx_s_log_is_printed_with_its_window(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    require("nginx")
    monkeypatch.setattr(log_looks, "SECONDS", 1.0)
    log_looks.main(["local"], rate=50, looks=2, every=0.5)
    printed = capsys.readouterr().out
    assert re.search(r"% of a core, each 0.5 s +[\d.]+ +<= 5 +\w+", printed)
    assert re.search(r"its rate, /s +\d+", printed)


def test_the_clients_that_nginx_holds_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    require("nginx")
    proxy.main("local", idle=20, busy=5, seconds=0.5, rounds=1)
    printed = capsys.readouterr().out
    assert re.search(r"idle connections +20 +20 +holds", printed)
    assert re.search(r"clients that ask meanwhile +5 +5 +holds", printed)


def test_the_cost_of_each_way_to_choose_a_slot_is_printed_beside_that_of_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    require("nginx")
    sticky.main(seconds=1, rounds=1)
    printed = capsys.readouterr().out
    if not shutil.which("wrk"):
        assert printed.endswith("wrk is not here\n")
        return
    _, table, _ = printed.split("\n\n")
    _, *rows = table.splitlines()
    assert [_name(row) for row in rows] == [row for row, _, _ in sticky.KINDS]
    assert all(re.search(r" +\d+ +[\d.]+ +[\d.]+$", row) for row in rows)
    assert rows[0].endswith(" 1.00")


def test_the_clients_that_nginx_holds_in_a_container_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    require("docker")
    proxy.main("docker", idle=20, busy=5, seconds=0.5)
    printed = capsys.readouterr().out
    assert re.search(r"clients held at once, docker +bound", printed)
    assert re.search(r"connections lost +0 +0 +holds", printed)
    assert "requests a second" not in printed


def test_the_sockets_and_workers_of_each_change_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    require("nginx")
    open_sockets.main(changes=1, sockets=50, life=13)
    versions, settings = capsys.readouterr().out.split("another setting")
    # Those that were not replaced meanwhile are closed after 13 s without traffic.
    assert re.search(r"^1 +\d.* 50 +\d+ +\d+\.\d to \d+\.\d +0$", versions, re.MULTILINE), versions
    assert re.search(r"shortest life without traffic, s +\d+\.\d +>= 13 +holds", versions), versions
    assert re.search(r"sockets cut while their slot had traffic +0 +0 +holds", settings), settings


def test_a_download_is_compared_with_what_was_sent(capsys: pytest.CaptureFixture[str]) -> None:
    require("nginx")
    big_download.main(["local"], mebibytes=4, seconds=2)
    printed = capsys.readouterr().out
    assert re.search(r"MiB received +4.0 +4 +holds", printed)
    assert re.search(r"SHA-256 as sent +yes +yes +holds", printed)
    assert re.search(r"bytes in temporary files, most +0 +0 +holds", printed)
