"""A folder `policies/` that was made for another tool: what is said of it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import read_bundle
from swiftdeploy_tasks.gate.embedded import check_bundle
from swiftdeploy_tasks.rollout.policies import DOMAINS
from tests.gate.conftest import POLICIES

PAGE = Path(__file__).parents[2] / "docs" / "policies.md"


def refused(folder: Path) -> GateUnavailable:
    with pytest.raises(GateUnavailable) as caught:
        check_bundle(read_bundle(folder, {}, required=DOMAINS), required=DOMAINS)
    return caught.value


def own(folder: Path, infrastructure: str) -> Path:
    """The policies that ship, with another text for one domain."""
    for name in ("canary.rego", "canary_evidence.rego", "isolation.rego", "data.json"):
        (folder / name).write_bytes((POLICIES / name).read_bytes())
    (folder / "host.rego").write_text(infrastructure, encoding="utf-8")
    return folder


def test_the_error_for_the_folder_of_another_tool_lists_what_it_lacks_and_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "access.rego").write_text("package kubernetes.admission\n", encoding="utf-8")
    error = refused(tmp_path)
    assert error.message.startswith(
        f"{tmp_path} replaces the policies that ship as a whole, and has no data.json"
    )
    assert all(f"no package swiftdeploy.{domain}" in error.message for domain in DOMAINS)
    assert "access.rego is package kubernetes.admission" in error.message
    assert "rename it" in error.next
    assert "docs/policies.md" in error.next


@pytest.mark.parametrize(
    "rules",
    [
        "default allow := false\n",
        'decision := {"allow": false, "reasons": ["no"]}\n',
        'decision := {"allow": false, "checks": []}\n',
    ],
)
def test_a_domain_of_another_shape_is_named_with_its_file(tmp_path: Path, rules: str) -> None:
    error = refused(own(tmp_path, f"package swiftdeploy.infrastructure\n\n{rules}"))
    assert "(package swiftdeploy.infrastructure in host.rego)" in error.message
    assert error.next.startswith("give host.rego a `decision` of the shape in docs/policies.md")


def test_a_file_that_is_no_policy_is_to_be_corrected(tmp_path: Path) -> None:
    error = refused(own(tmp_path, "allow = true\n"))
    assert error.next == "correct host.rego, then `invoke validate`"


def test_the_domain_that_the_docs_show_is_a_whole_one(tmp_path: Path) -> None:
    (shown,) = re.findall(r"```rego\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    folder = own(tmp_path, shown)
    limits = json.loads((folder / "data.json").read_bytes())
    limits["limits"]["infrastructure"] = {"min_cores": 2}
    (folder / "data.json").write_text(json.dumps(limits), encoding="utf-8")
    found = check_bundle(read_bundle(folder, {}, required=DOMAINS), required=DOMAINS)
    assert found["infrastructure"] == ("min_cores",)
