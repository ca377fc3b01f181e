"""One corpus of policies through both engines: what one refuses and the other does not is known by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from swiftdeploy_tasks.engines.local import binaries
from swiftdeploy_tasks.errors import GateUnavailable
from swiftdeploy_tasks.gate import Bundle, opa_check, read_bundle, worker
from swiftdeploy_tasks.gate.embedded import CHECK_SECONDS, EVERY, load
from tests.lab import require

CORPUS = Path(__file__).parent / "corpus"
DATA = {"limits": {"q": {"a": 1}}}


def _cases(folder: str) -> list[str]:
    return sorted(path.stem for path in (CORPUS / folder).glob("*.rego"))


def _bundle(folder: Path, kind: str, name: str) -> Bundle:
    (folder / "trial.rego").write_text((CORPUS / kind / f"{name}.rego").read_text())
    (folder / "data.json").write_text(json.dumps(DATA))
    return read_bundle(folder, {})


def _by_opa(bundle: Bundle, *, strict: bool = True) -> object:
    """The decision about an empty input; raises GateUnavailable where OPA refuses the policy."""
    require("opa")
    words = [word for word in opa_check.words(bundle) if strict or word != "--strict"]
    document = json.loads(binaries.run("opa", opa_check.files(bundle), words).output)
    if errors := document.get("errors"):
        raise GateUnavailable(str(errors), "")
    (value,) = (one["value"] for one in document["result"][0]["expressions"])
    return next(iter(value["trial"]["decision"]), None)


def _by_embedded(bundle: Bundle) -> object:
    found = worker.decide(load, bundle, EVERY, "{}", seconds=CHECK_SECONDS)
    assert isinstance(found, dict)
    return found["trial"].decision


@pytest.mark.parametrize("name", _cases("agree"))
def test_both_engines_take_it_and_decide_the_same(name: str, tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, "agree", name)
    assert _by_embedded(bundle) == _by_opa(bundle)


@pytest.mark.parametrize("name", _cases("refused"))
def test_both_engines_refuse_it(name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    bundle = _bundle(tmp_path, "refused", name)
    with pytest.raises(GateUnavailable):
        _by_opa(bundle)
    with pytest.raises(GateUnavailable) as raised:
        _by_embedded(bundle)
    assert "\n" not in raised.value.message
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", _cases("server_only"))
def test_what_only_opa_decides_rightly_is_refused_with_the_way_out(name: str, tmp_path: Path) -> None:
    bundle = _bundle(tmp_path, "server_only", name)
    _by_opa(bundle)
    with pytest.raises(GateUnavailable) as raised:
        _by_embedded(bundle)
    assert "gate: server" in str(raised.value.next)


@pytest.mark.parametrize("name", _cases("known"))
def test_a_difference_that_is_not_refused_is_no_other_decision(name: str, tmp_path: Path) -> None:
    """What the embedded engine takes has OPA's decision, or the same members of a list in another order.

    OPA refuses the former only in its strict check, not when it answers. Of the latter no element can be
    taken by its place: that is refused. A case that no longer differs belongs into another folder.
    """
    bundle = _bundle(tmp_path, "known", name)
    assert (CORPUS / "known" / f"{name}.rego").read_text().startswith("# embedded: ")
    embedded = _by_embedded(bundle)
    try:
        by_opa = _by_opa(bundle)
    except GateUnavailable:
        assert embedded == _by_opa(bundle, strict=False)
        return
    assert isinstance(embedded, list)
    assert isinstance(by_opa, list)
    assert embedded != by_opa
    assert sorted(embedded, key=repr) == sorted(by_opa, key=repr)
