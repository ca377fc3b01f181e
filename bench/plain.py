"""The same service without SwiftDeploy: with compose alone, or as a process. Figures to compare ours with.

It measures a start until the service was healthy, and a recreation under load.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import yaml

from bench.load import Plan, under_load
from bench.stack import Stack
from bench.tally import Tally
from swiftdeploy_tasks.engines.local.launch import free_port
from swiftdeploy_tasks.proxy import probe

HEALTHY_SECONDS = 30.0


def seconds_to_healthy(made: Stack, *, passes: int, interval: float, times: int) -> float:
    """Return the median seconds from the start command to the last pass, with the service alone."""
    spent = []
    for _ in range(times):
        began = time.monotonic()
        with _alone(made) as port:
            for number in range(passes):
                if number:
                    time.sleep(interval)
                _wait_healthy(port)
            spent.append(time.monotonic() - began)
    return median(spent)


def force_recreate(made: Stack, plan: Plan, *, times: int) -> Tally:
    """Recreate the service so many times under this load on its own port; return what came of the load."""
    with _composed(made) as (compose, port):
        _wait_healthy(port)
        with under_load(Plan(port, plan.rate, plan.seconds, plan.kept, plan.fresh)) as running:
            for _ in range(times):
                time.sleep(1)
                subprocess.run([*compose, "up", "-d", "--force-recreate"], check=True, capture_output=True)
                _wait_healthy(port)
            time.sleep(1)
    return running.tally


@contextlib.contextmanager
def _alone(made: Stack) -> Iterator[int]:
    if made.engine == "docker":
        with _composed(made) as (_, port):
            yield port
        return
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "app/main.py"],
        cwd=made.place.root,
        env={"PATH": os.environ["PATH"], "APP_PORT": str(port), "APP_HOST": probe.HOST},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.terminate()
        process.wait(timeout=20)


@contextlib.contextmanager
def _composed(made: Stack) -> Iterator[tuple[list[str], int]]:
    """Run the same image by a plain compose file, its port published directly."""
    name, port = f"{made.name}-plain", free_port()
    file = Path(made.logs, "plain.yml")
    app = {
        "image": made.manifest["services"]["image"],
        "init": True,
        "environment": {"MODE": "stable", "APP_VERSION": "1.0.0"},
        "ports": [f"{probe.HOST}:{port}:3000"],
    }
    file.write_text(yaml.safe_dump({"name": name, "services": {"app": app}}), encoding="utf-8")
    compose = ["docker", "compose", "-p", name, "-f", str(file)]
    try:
        subprocess.run([*compose, "up", "-d"], check=True, capture_output=True)
        yield compose, port
    finally:
        subprocess.run([*compose, "down", "-v"], check=True, capture_output=True)


def _wait_healthy(port: int) -> None:
    if not probe.until(lambda: probe.ask(port, "/healthz").status == 200, seconds=HEALTHY_SECONDS):
        raise RuntimeError(f"nothing healthy answers on port {port} after {HEALTHY_SECONDS:g} s")
