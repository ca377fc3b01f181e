"""What manifest.yaml becomes: the generated files, read back as nginx and compose would read them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import Phase

from swiftdeploy_tasks import settings
from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.manifest import loading, validation
from swiftdeploy_tasks.manifest import model as model
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.manifest.source import parse
from swiftdeploy_tasks.proxy import configuration as configuration
from swiftdeploy_tasks.rollout import review
from tests.manifest.strategies import as_yaml

ROOT = Path(__file__).parents[2]
FOLDERS = (ROOT / "templates",)
SCHEMA = ROOT / "schema" / "manifest.schema.json"
EXAMPLES = hypothesis.settings(deadline=None, max_examples=50)
# For examples that each start a program: a failing one is shown as it was found.
FEW_EXAMPLES = hypothesis.settings(
    deadline=None, max_examples=30, phases=(Phase.explicit, Phase.reuse, Phase.generate)
)
PLACES = settings.find(ROOT)
RULES = json.loads(SCHEMA.read_text(encoding="utf-8"))


def accepted(data: dict[str, Any]) -> Manifest:
    source = parse(as_yaml(data))
    assert validation.check(source, RULES) == ()
    return loading.build(source, RULES)


def root_files(asked: Manifest, *, engine: str = "docker", with_opa: bool = True) -> dict[str, str]:
    gated = dataclasses.replace(asked, gate="server" if with_opa else "embedded")
    return review.render(gated, registry.make(engine, PLACES), FOLDERS)
