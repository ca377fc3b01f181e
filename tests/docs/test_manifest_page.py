"""docs/manifest.md is what its generator makes of the schema as it is now."""

from __future__ import annotations

import runpy

from tests.docs import ROOT

DOCS = ROOT / "docs"


def test_the_manifest_reference_is_current() -> None:
    made = runpy.run_path(str(DOCS / "generate_manifest.py"))["page"]()
    is_current = (DOCS / "manifest.md").read_text(encoding="utf-8") == made
    assert is_current, "run: python docs/generate_manifest.py"
