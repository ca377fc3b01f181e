"""Engines that misbehave, for the child that runs them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from swiftdeploy_tasks.gate import Bundle
from swiftdeploy_tasks.system import files

Judge = Callable[[str, str], object]


def endless(_: Bundle) -> Judge:
    """Never answers; writes its process id into the file that the input names."""

    def judge(_: str, text: str) -> object:
        files.replace(Path(text), str(os.getpid()))
        while True:
            pass

    return judge


def delayed(_: Bundle) -> Judge:
    """Answers late without much processor time, as on a busy host."""

    def judge(_: str, text: str) -> object:
        time.sleep(float(text))
        return "late"

    return judge


def crashing(_: Bundle) -> Judge:
    """Aborts the process that asks it."""
    return lambda domain, text: os.abort()
