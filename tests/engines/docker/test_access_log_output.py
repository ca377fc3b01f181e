"""How much of nginx's access log one read covers, from a real container."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator

import pytest

from swiftdeploy_tasks.engines.docker import access_log_output
from swiftdeploy_tasks.engines.docker.client import client
from swiftdeploy_tasks.engines.protocol import ACCESS_LINES
from swiftdeploy_tasks.metrics import AccessLog, LogWindows, Window
from tests.e2e.project import docker, until
from tests.lab import IMAGES, require

SLOT = "10.0.0.2:3000"
# So many lines of each of these seconds before now, each with a line of the error log where `noise` is 1.
PRINTS = """
now=$(date +%s)
awk -v now=$now -v rate=$1 -v seconds=$2 -v noise=$3 'BEGIN {
    for (at = now - seconds; at < now; at++) {
        when = strftime("%Y-%m-%dT%H:%M:%S+00:00", at, 1)
        for (i = 0; i < rate; i++) {
            print when " | 200 | 0.004s | 10.0.0.2:3000 | GET / HTTP/1.1"
            if (noise) {
                print "2026/11/30 10:00:00 [error] upstream timed out" > "/dev/stderr"
                fflush()
            }
        }
    }
}'
echo "the end"
echo "the end" >&2
sleep 600
"""
Prints = Callable[..., str]


def is_whole(name: str) -> bool:
    last = docker("logs", "--tail", "1", name)
    return last.strip() == "the end" and docker("logs", name).count("the end") == 2


@pytest.fixture
def printing() -> Iterator[Prints]:
    require("docker")
    name = f"access-output-{secrets.token_hex(4)}"

    def begin(rate: int, seconds: int, noise: int = 0) -> str:
        words = ["sh", "-c", PRINTS, "sh", str(rate), str(seconds), str(noise)]
        docker("run", "-d", "--name", name, "--entrypoint", words[0], IMAGES["nginx"], *words[1:])
        until(lambda: is_whole(name), "both streams are printed")
        return name

    yield begin
    docker("rm", "-f", name)


def measured(log: AccessLog) -> Window:
    windows = LogWindows()
    windows.add(log, leave_out="", keep=32)
    found = windows.of_slot(SLOT, seconds=30)
    assert found is not None
    return found.window


def test_a_log_that_is_shorter_than_the_window_begins_with_its_container(printing: Prints) -> None:
    name = printing(10, 60)
    began = time.time()
    log = access_log_output.read(client().containers.get(name), 31)
    assert began - 30 < log.since <= began
    assert sum(SLOT in line for line in log.lines) == 600


@pytest.mark.parametrize("noise", [0, 1])
def test_a_log_beyond_the_bound_gives_a_shorter_window_with_the_true_rate(
    printing: Prints, noise: int
) -> None:
    name = printing(2000, 25, noise)
    log = access_log_output.read(client().containers.get(name), 31)
    seen = measured(log)
    assert len(log.lines) <= ACCESS_LINES + 1
    # Only seconds of which every line was read are counted.
    assert seen.requests % 2000 == 0 and seen.requests >= 2000 * (3 if noise else 8)
    assert log.until - log.since == pytest.approx(seen.seconds, abs=0.01)


def test_without_a_container_the_log_covers_no_time() -> None:
    log = access_log_output.read(None, 31)
    assert log.lines == () and log.since == pytest.approx(log.until, abs=0.1)
