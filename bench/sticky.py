"""Measures what it costs nginx to choose a slot by the client's address, or by its cookie.

    python -m bench.sticky           # needs wrk

Three nginx, one for each value of rollout.sticky, each with half of its traffic for each slot of one app.
They take turns. Processor time is that of nginx alone, the app's left out.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from bench.table import Row, machine, show
from swiftdeploy_tasks.engines.local.proxy_process import command, master
from swiftdeploy_tasks.model.state import Traffic
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.split_nginx import SplitNginx, split_nginx

CLIENTS = 64
HALF = Traffic({"blue": 50, "green": 50})
KEY = "Cookie: swiftdeploy=0123456789abcdef0123456789abcdef"
# The name of a row, rollout.sticky, and a header of each request.
KINDS = (
    ("none", "none", KEY),
    ("client", "client", KEY),
    ("cookie, a known client", "cookie", KEY),
    ("cookie, a new client", "cookie", "Cookie: theme=dark"),
)
_APP = """
worker_processes 1; pid app.pid; error_log stderr crit; daemon off;
events { worker_connections 4096; }
http {
    access_log off; keepalive_requests 1000000;
    server { listen 127.0.0.1:%s; listen 127.0.0.1:%s; return 200 "well\\n"; }
}
"""


@dataclass(frozen=True)
class Run:
    """The requests a second of one run of wrk, and nginx's processor time for each, in microseconds."""

    rate: float
    cost: float


def main(*, seconds: float = 3.0, rounds: int = 16) -> None:
    """Print the requests a second and the processor time of a request for each way to choose a slot."""
    print(machine())
    if not shutil.which("wrk"):
        print("wrk is not here")
        return
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        shops = {sticky: _shop(stack, Path(name) / sticky, sticky) for _, sticky, _ in KINDS[:3]}
        runs: dict[str, list[Run]] = {row: [] for row, _, _ in KINDS}
        for turn in range(rounds):
            # Each kind is as often the first as the last.
            for row, sticky, header in KINDS if turn % 2 else reversed(KINDS):
                runs[row].append(_run(shops[sticky], header, seconds))
    show(("rollout.sticky", "requests/s", "cpu us a request", "of none"), list(_rows(runs)))
    print(f"\n{machine()}, when it ended")


def _rows(runs: dict[str, list[Run]]) -> Iterator[Row]:
    base = [run.cost for run in runs["none"]]
    for row, found in runs.items():
        times = median(run.cost / cost for run, cost in zip(found, base, strict=True))
        rate, cost = median(run.rate for run in found), median(run.cost for run in found)
        yield (row, f"{rate:.0f}", f"{cost:.1f}", f"{times:.2f}")


def _shop(stack: ExitStack, folder: Path, sticky: str) -> SplitNginx:
    """Start an nginx that splits the traffic in half, and the app behind it."""
    folder.mkdir()
    public, operator = free_ports(2)
    asked = accepted(
        {
            "services": {"image": "shop:1", "port": 3000},
            "nginx": {"image": "nginx", "port": public, "operator_port": operator},
            "network": {"name": "net", "driver_type": "bridge"},
            "rollout": {"sticky": sticky},
        }
    )
    made = stack.enter_context(split_nginx(folder, asked))
    made.route(HALF, alive=[])
    stack.enter_context(_app(folder / "app", *made.ports.values()))
    return made


@contextmanager
def _app(folder: Path, *ports: int) -> Iterator[None]:
    folder.mkdir()
    (folder / "app.conf").write_text(_APP % ports, encoding="utf-8")
    with subprocess.Popen(command(folder, folder / "app.conf")) as process:
        try:
            yield
        finally:
            process.terminate()


def _run(shop: SplitNginx, header: str, seconds: float) -> Run:
    """Let wrk ask; raises RuntimeError where a request failed."""
    url = f"http://127.0.0.1:{shop.asked.nginx.port}/"
    words = ["wrk", "-t1", f"-c{CLIENTS}", f"-d{max(1, round(seconds))}s", "-H", header, url]
    before = _cpu(shop)
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    used = _cpu(shop) - before
    rate, done = re.search(r"Requests/sec:\s+([\d.]+)", said), re.search(r"(\d+) requests in", said)
    if "Socket errors" in said or "Non-2xx" in said or not rate or not done:
        raise RuntimeError(said)
    return Run(float(rate[1]), 1e6 * used / int(done[1]))


def _cpu(shop: SplitNginx) -> float:
    """Return the processor seconds of the workers."""
    found = master(shop.folder)
    assert found
    times = [worker.cpu_times() for worker in psutil.Process(found.pid).children()]
    return sum(time.user + time.system for time in times)


if __name__ == "__main__":
    main()
