"""What nginx logs of a watched change, added up by slot."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from swiftdeploy_tasks.metrics import Counter, counted
from swiftdeploy_tasks.metrics.slot_tally import BOUNDS, SlotTally

OLD, NEW = "10.0.0.2:3000", "10.0.0.3:3000"


def begun(request: str, at: float = 1.0, by: str = "client", slot: str = "") -> str:
    return "\t".join(("begun", request, by, str(at), *([slot] if slot else []))) + "\n"


def answered(
    request: str,
    addresses: str = NEW,
    statuses: str = "200",
    headers: str = "0.010",
    responses: str = "0.012",
    *,
    status: str = "200",
    by: str = "client",
) -> str:
    return "\t".join(("answered", request, by, "1.5", status, addresses, statuses, headers, responses)) + "\n"


COUNTERS: list[Counter] = []


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    while COUNTERS:
        COUNTERS.pop().close()


def read(tmp_path: Path, *lines: str, share: int = 100, old: str = OLD, errors: str = "") -> Counter:
    log = tmp_path / "generation.log"
    log.write_text("".join(lines))
    (tmp_path / "generation.log.errors").write_text(errors)
    counter = Counter(old)
    COUNTERS.append(counter)
    counter.follow(log, share, "green")
    counter.read()
    return counter


def figures(tally: SlotTally) -> tuple[int, int, int]:
    return tally.ok, tally.errors, tally.client_errors


@pytest.mark.parametrize(
    ("line", "new"),
    [
        (answered("a"), (1, 0, 0)),
        (answered("a", statuses="404", status="404"), (1, 0, 1)),
        (answered("a", status="009"), (0, 1, 0)),
        (answered("a", statuses="500", status="500"), (0, 1, 0)),
        (answered("a", statuses="502", headers="-", status="502"), (0, 1, 0)),
        (answered("a", statuses="504", headers="-", responses="30.000", status="504"), (0, 1, 0)),
        (answered("a", statuses="-", headers="-", responses="4.000", status="499"), (0, 1, 0)),
        (answered("a", statuses="-", headers="-", responses="0.400", status="499"), (0, 0, 0)),
        (answered("a", "-", "-", "-", "-", status="403"), (0, 0, 0)),
        (answered("a", by="probe"), (0, 0, 0)),
    ],
)
def test_an_answer_counts_by_its_status_and_by_whether_it_began(
    tmp_path: Path, line: str, new: tuple[int, int, int]
) -> None:
    assert figures(read(tmp_path, line).new) == new


def test_a_request_that_was_retried_is_an_error_of_the_slot_that_failed(tmp_path: Path) -> None:
    line = answered("a", f"{NEW}, {OLD}", "502, 200", "-, 0.004", "0.001, 0.004")
    counter = read(tmp_path, line)
    assert (figures(counter.new), figures(counter.old)) == ((0, 1, 0), (1, 0, 0))


def test_an_address_that_is_not_the_old_slot_s_counts_for_the_new_slot(tmp_path: Path) -> None:
    """nginx names the upstream where no server of it can be resolved."""
    assert figures(read(tmp_path, answered("a", "app", "502", "-", "0.000", status="502")).new) == (0, 1, 0)


def test_an_answer_that_the_slot_broke_off_is_an_error_and_no_good_one(tmp_path: Path) -> None:
    told = (
        "2026/11/29 10:00:00 [error] 7#7: *1 upstream prematurely closed connection while reading upstream,"
        ' client: 127.0.0.1, server: _, request: "GET / HTTP/1.1", upstream: "http://{}/", host: "a"\n'
    )
    counter = read(tmp_path, answered("a"), answered("b"), answered("c", OLD), errors=told.format(NEW))
    assert (figures(counter.new), figures(counter.old)) == ((1, 1, 0), (1, 0, 0))


def test_the_latency_is_the_time_to_the_first_byte(tmp_path: Path) -> None:
    counter = read(tmp_path, *(answered(f"{n}", headers="0.200", responses="9.000") for n in range(100)))
    window = counted((0.0, SlotTally()), (1.0, counter.new)).window
    assert window.p99_ms is not None and 100 < window.p99_ms <= 250
    assert sum(counter.new.buckets[: BOUNDS.index(0.25) + 1]) == 100


def test_a_request_is_waiting_until_it_is_answered(tmp_path: Path) -> None:
    counter = read(tmp_path, begun("a", 1.0), begun("b", 1.0), begun("c", 9.0), answered("a"))
    assert counter.waiting_at_new(before=5.0) == (1, 3)
    assert counter.requests == 3


def test_waiting_requests_belong_to_the_slot_that_answered_too_few_of_its_share(tmp_path: Path) -> None:
    lines = [begun(f"{n}") for n in range(20)]
    old = [answered(f"{n}", OLD) for n in range(10)]
    new = [answered(f"{n}", NEW) for n in range(10, 14)]
    assert read(tmp_path, *lines, *old, *new, share=50).waiting_at_new(before=5.0) == (6, 10)
    slow_old = [answered(f"{n}", OLD) for n in range(4)] + [answered(f"{n}", NEW) for n in range(10, 20)]
    assert read(tmp_path, *lines, *slow_old, share=50).waiting_at_new(before=5.0) == (0, 10)


def test_a_waiting_request_belongs_to_the_slot_that_nginx_chose_for_its_client(tmp_path: Path) -> None:
    """Of two clients, one with most of the requests, the shares say nothing."""
    slots = ["blue"] * 12 + ["green"] * 4
    lines = [begun(f"{n}", slot=slot) for n, slot in enumerate(slots)]
    late = [begun("late", 9.0, slot="green"), begun("probe", by="probe", slot="green")]
    answers = [answered("0", OLD), answered("12", NEW)]
    assert read(tmp_path, *lines, *late, *answers, share=50).waiting_at_new(before=5.0) == (3, 5)
    assert read(tmp_path, *lines[:12], share=50).waiting_at_new(before=5.0) == (0, 0)


def test_a_line_that_is_not_written_to_its_end_is_read_later(tmp_path: Path) -> None:
    line = answered("a")
    counter = read(tmp_path, line[:30])
    assert figures(counter.new) == (0, 0, 0)
    with (tmp_path / "generation.log").open("a") as log:
        log.write(line[30:])
    counter.read()
    assert figures(counter.new) == (1, 0, 0)


def test_the_tallies_go_on_over_the_generations_of_a_change(tmp_path: Path) -> None:
    counter = read(tmp_path, answered("a", OLD), begun("b"), share=0)
    (tmp_path / "next.log.errors").touch()
    (tmp_path / "next.log").write_text(answered("c") + answered("d", OLD))
    counter.follow(tmp_path / "next.log", 50, "green")
    counter.read()
    assert (figures(counter.old), figures(counter.new)) == ((2, 0, 0), (1, 0, 0))
    assert counter.waiting_at_new(before=5.0) == (0, 0)
