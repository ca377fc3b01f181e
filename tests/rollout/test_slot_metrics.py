"""Reading a slot's metrics page: one limit, and what can be judged by it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import cast

import pytest

from swiftdeploy_tasks.manifest.model import Manifest, MetricsPage
from swiftdeploy_tasks.metrics import MAX_PAGE, UnreadableMetrics
from swiftdeploy_tasks.rollout import slot_metrics
from tests.slow_apps import serving, whole

COUNTER = '# TYPE http_requests_total counter\nhttp_requests_total{code="200"} 3\n'
FILLER = "# " + "x" * 997 + "\n"


@contextmanager
def page(text: str) -> Iterator[int]:
    with serving(lambda connection, _: connection.sendall(whole("200 OK", text.encode()))) as port:
        yield port


def asked(path: str | None = "/metrics") -> Manifest:
    page = None if path is None else MetricsPage(path)
    services = SimpleNamespace(metrics=page, health=SimpleNamespace(path="/healthz", host=None))
    return cast("Manifest", SimpleNamespace(services=services))


def test_a_page_of_1_3_mb_is_read() -> None:
    with page(COUNTER + 1300 * FILLER) as port:
        scraped = slot_metrics.scrape(asked(), port, "blue")
    assert scraped is not None
    assert scraped.ok == 3


def test_a_page_beyond_the_one_limit_names_it() -> None:
    with page(COUNTER + 2001 * FILLER) as port, pytest.raises(UnreadableMetrics, match=f"{MAX_PAGE} bytes"):
        slot_metrics.scrape(asked(), port, "blue")


def test_what_a_page_can_be_judged_by_is_named() -> None:
    with page(COUNTER) as port:
        found = slot_metrics.outlook(asked(), port, "blue")
    assert found.startswith("errors are judged by http_requests_total; /metrics has no histogram (http_")
    assert "judged by health" in slot_metrics.outlook(asked(None), 0, "blue")


def test_a_page_that_can_judge_nothing_is_refused_as_it_is_later() -> None:
    with page("temperature 3\n") as port:
        for read in (slot_metrics.outlook, slot_metrics.scrape):
            with pytest.raises(UnreadableMetrics, match="no request counter"):
                read(asked(), port, "blue")


def test_a_page_that_trickles_is_given_up_within_the_time_of_a_look() -> None:
    def trickle(connection: socket.socket, asked: str) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 65536\r\n\r\n")
        connection.settimeout(0.2)
        for _ in range(80):  # 16 s
            connection.sendall(b"#" * 819)
            try:
                if connection.recv(1) == b"":
                    return
            except TimeoutError:
                continue

    with serving(trickle) as port, pytest.raises(UnreadableMetrics, match=r"no answer in time \(2 s\)"):
        slot_metrics.scrape(asked(), port, "blue")
