"""What of the lab is here: a part that is missing skips its tests, or fails them where it is required.

`SWIFTDEPLOY_REQUIRE=docker,opa,nginx,browser,go,node` names the parts that must be there.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess

import pytest

IMAGES = {
    "base": "swiftdeploy-lab/base:latest",
    "nginx": "swiftdeploy-lab/nginx:latest",
    "opa": "swiftdeploy-lab/opa:latest",
}
PROGRAMS = {"opa": "opa", "browser": "chromium", "go": "go", "node": "npm"}
PARTS = {"docker", "nginx", *PROGRAMS}


@functools.cache
def _find(part: str) -> tuple[str, str]:
    """Return (what was found, why it was not)."""
    if part in PROGRAMS:
        return shutil.which(PROGRAMS[part]) or "", f"no `{PROGRAMS[part]}` on PATH"
    if part == "nginx":
        from swiftdeploy_tasks.engines.local.proxy_process import find_nginx

        try:
            return find_nginx(), ""
        except Exception as error:
            return "", str(error)
    if part == "docker":
        for command in (["docker", "info"], ["docker", "compose", "version"]):
            try:
                subprocess.run(command, capture_output=True, check=True, timeout=20)
            except (OSError, subprocess.SubprocessError) as error:
                return "", f"`{' '.join(command)}` fails: {error}"
        for image in IMAGES.values():
            if subprocess.run(["docker", "image", "inspect", image], capture_output=True).returncode:
                return "", f"the image {image} is not here"
        return "docker", ""
    raise ValueError(f"no such part: {part}")


def required() -> list[str]:
    return [part for part in os.environ.get("SWIFTDEPLOY_REQUIRE", "").split(",") if part]


def unmet() -> str:
    """Why what SWIFTDEPLOY_REQUIRE names is not here, a part that does not exist included; "" when all is."""
    if unknown := sorted(set(required()) - PARTS):
        return f"SWIFTDEPLOY_REQUIRE names {', '.join(unknown)}; there are {', '.join(sorted(PARTS))}"
    reasons = {part: reason for part in required() for found, reason in [_find(part)] if not found}
    return "; ".join(f"{part} is required and missing: {reason}" for part, reason in reasons.items())


def require(part: str) -> str:
    """Return where the part is; skip the test without it, or fail it when the part is required."""
    found, reason = _find(part)
    if found:
        return found
    if part in required():
        pytest.fail(f"{part} is required and missing: {reason}")
    pytest.skip(f"{part} is missing: {reason}")
