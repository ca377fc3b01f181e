from __future__ import annotations

from pathlib import Path

SCHEMA = Path(__file__).parents[2] / "schema" / "manifest.schema.json"
