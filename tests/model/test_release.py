from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftdeploy_tasks.manifest.model import Health, Resources, Stop, Volume
from swiftdeploy_tasks.model.release import FIELDS, LATER_FIELDS, Release, from_label, from_manifest, other
from swiftdeploy_tasks.model.state import State, Traffic
from tests.manifest.strategies import manifests
from tests.proxy import accepted
from tests.rollout.plan_states import NEW, OLD, occupied

WHOLE = Release(
    artifact="sha256:1",
    version="1.0.0",
    mode="stable",
    env=(("A", "1"), ("B", None)),
    secrets=(("B", "SOURCE"),),
    port=3000,
    process=("python", "main.py"),
    health=Health("/healthz", 1.0, 3, 60.0),
    resources=Resources(1.0, "256m"),
    restart_policy="always",
)
CHANGES: dict[str, list[Any]] = {
    "artifact": ["sha256:2"],
    "version": ["1.0.1", "v1.0.0"],
    "mode": ["canary"],
    "env": [
        (),
        (("A", "2"), ("B", None)),
        (("C", "1"), ("B", None)),
        (("A", "1"), ("B", "")),
        (("A", None), ("B", None)),
    ],
    "secrets": [(), (("B", "OTHER"),), (("A", "SOURCE"),)],
    "port": [3001],
    "process": [(), ("python", "other.py"), ("python main.py",)],
    "health": [
        Health("/up", 1.0, 3, 60.0),
        Health("/healthz", 2.0, 3, 60.0),
        Health("/healthz", 1.0, 4, 60.0),
        Health("/healthz", 1.0, 3, 61.0),
    ],
    "resources": [Resources(2.0, "256m"), Resources(1.0, "512m")],
    "restart_policy": ["no"],
    "user": ["image", "1000"],
    "read_only": [False],
    "tmpfs": [(), ("/tmp", "/run")],
    "volumes": [(Volume("data", "/data"),), (Volume("data", "/srv"),)],
    "stop": [Stop("SIGQUIT", 15), Stop("SIGTERM", 60)],
}


def test_every_field_is_tried() -> None:
    assert CHANGES.keys() == {field.name for field in dataclasses.fields(Release)}


@pytest.mark.parametrize(
    ("field", "value"), [(name, value) for name, values in CHANGES.items() for value in values]
)
def test_any_other_content_is_another_release(field: str, value: Any) -> None:
    changed = dataclasses.replace(WHOLE, **{field: value})
    assert changed.id != WHOLE.id
    assert from_label(changed.label) == changed


def test_the_same_content_is_the_same_release() -> None:
    assert dataclasses.replace(WHOLE).id == WHOLE.id
    assert re.fullmatch(r"[0-9a-f]{12}", WHOLE.id)


@given(manifests(), st.lists(st.text(max_size=20), max_size=3).map(tuple))
def test_a_label_gives_the_whole_release_back(data: dict[str, Any], process: tuple[str, ...]) -> None:
    written = from_manifest(accepted(data), artifact="sha256:1", process=process)
    found = from_label(written.label)
    assert found == written
    assert found and found.id == written.id
    assert "\n" not in written.label


def with_env(**env: Any) -> Release:
    data = {
        "services": {"image": "shop:1", "port": 3000, "env": env},
        "nginx": {"image": "nginx", "port": 8080},
        "network": {"name": "net", "driver_type": "bridge"},
    }
    return from_manifest(accepted(data), artifact="sha256:1", process=())


def test_a_secret_is_in_the_release_by_name_only(monkeypatch: pytest.MonkeyPatch) -> None:
    unset = with_env(TOKEN={"from_env": "SHOP_TOKEN"}, PLAIN="seen")
    monkeypatch.setenv("SHOP_TOKEN", "hunter2")
    held = with_env(TOKEN={"from_env": "SHOP_TOKEN"}, PLAIN="seen")
    assert held == unset
    assert "hunter2" not in held.label + repr(held)
    assert (("TOKEN", None) in held.env, held.secrets) == (True, (("TOKEN", "SHOP_TOKEN"),))
    assert "seen" in held.label


def test_that_a_secret_may_be_short_is_no_part_of_the_release() -> None:
    assert with_env(TOKEN={"from_env": "PIN", "short": True}).id == with_env(TOKEN={"from_env": "PIN"}).id


def test_the_order_of_the_environment_in_the_manifest_does_not_matter() -> None:
    assert with_env(A="1", B="2").id == with_env(B="2", A="1").id


@pytest.mark.parametrize(
    "text",
    ["", "rubbish", "null", "5", '"text"', "[]", "{}", WHOLE.label[:-1], "[" * 100_000],
    ids=lambda text: text[:12] or "empty",
)
def test_a_label_that_we_did_not_write_is_no_release(text: str) -> None:
    assert from_label(text) is None


# Labels as version 1 of the list of fields writes them, and their ids. They never change.
GOLDEN = {
    "7ea2de4166a2": dataclasses.replace(WHOLE, env=(("A", "é"), ("B", None))),
    "d4e9340e1283": dataclasses.replace(WHOLE, health=Health("/healthz", 1.0, 3, 60.0, "a.example")),
}
GOLDEN_LABEL = (
    '{"artifact":"sha256:1","env":[["A","1"],["B",null]],'
    '"health":{"interval":1.0,"passes":3,"path":"/healthz","timeout":60.0},"mode":"stable","port":3000,'
    '"process":["python","main.py"],"resources":{"cpus":1.0,"memory":"256m"},"restart_policy":"always",'
    '"secrets":[["B","SOURCE"]],"version":"1.0.0"}'
)


def test_a_label_is_byte_for_byte_what_earlier_versions_wrote() -> None:
    assert WHOLE.label == GOLDEN_LABEL


@pytest.mark.parametrize("golden", GOLDEN)
def test_an_id_is_what_earlier_versions_gave(golden: str) -> None:
    assert GOLDEN[golden].id == golden


def test_every_field_is_part_of_the_identity() -> None:
    content = json.loads(dataclasses.replace(WHOLE, **{name: CHANGES[name][-1] for name in CHANGES}).label)
    groups = {"health": Health, "resources": Resources, "stop": Stop}
    inner = {f"{key}.{field.name}" for key, kind in groups.items() for field in dataclasses.fields(kind)}
    plain = {field.name for field in dataclasses.fields(Release)} - groups.keys()
    assert plain | inner == {*FIELDS, *LATER_FIELDS}
    assert content.keys() == {field.name for field in dataclasses.fields(Release)}


@pytest.mark.parametrize("path", LATER_FIELDS)
def test_a_later_field_with_its_default_stands_in_no_label(path: str) -> None:
    section, _, key = path.rpartition(".")
    content = json.loads(WHOLE.label)
    assert key not in (content.get(section, {}) if section else content)
    assert from_label(WHOLE.label) == WHOLE


def test_a_label_with_a_field_of_a_later_version_is_no_release_of_this_one() -> None:
    assert from_label(json.dumps(json.loads(WHOLE.label) | {"from_the_future": 1})) is None


@pytest.mark.parametrize("field", [name for name in CHANGES if name in json.loads(WHOLE.label)])
def test_a_label_without_one_of_the_fields_is_no_release(field: str) -> None:
    content = json.loads(WHOLE.label)
    del content[field]
    assert from_label(json.dumps(content)) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("port", "x"),
        ("port", None),
        ("port", float("inf")),
        ("env", 5),
        ("env", [["A"]]),
        ("env", {"A": "1"}),
        ("secrets", None),
        ("process", 5),
        ("health", None),
        ("health", {"path": "/"}),
        ("health", {"path": "/", "interval": 1.0, "passes": 3, "timeout": 60.0, "more": 1}),
        ("resources", []),
        ("volumes", 5),
        ("volumes", [{"name": "data"}]),
        ("stop", {"signal": "SIGTERM", "more": 1}),
    ],
)
def test_a_label_with_a_field_of_another_kind_is_no_release(field: str, value: Any) -> None:
    assert from_label(json.dumps(json.loads(WHOLE.label) | {field: value})) is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@given(st.sampled_from(sorted(CHANGES)), anything)
def test_no_label_is_an_error(field: str, value: Any) -> None:
    found = from_label(json.dumps(json.loads(WHOLE.label) | {field: value}))
    assert found is None or from_label(found.label) is not None


@pytest.mark.parametrize(
    ("traffic", "leader", "words"),
    [
        (Traffic(), None, "none (503)"),
        (Traffic({"blue": 100}), "blue", "blue 100 %"),
        (Traffic({"blue": 10, "green": 90}), "green", "blue 10 %, green 90 %"),
        (Traffic({"green": 100}, "blue"), "green", "green 100 %, blue as backup"),
    ],
)
def test_the_leader_has_the_largest_share(traffic: Traffic, leader: str | None, words: str) -> None:
    assert (traffic.leader, str(traffic)) == (leader, words)


def test_a_state_tells_what_runs_in_a_slot() -> None:
    state = State(None, {"blue": occupied(OLD), "green": occupied(NEW)})
    assert (state.release_of("blue"), state.release_of("green"), state.release_of(None)) == (OLD, NEW, None)
    assert State().release_of("blue") is None
    assert (other("blue"), other("green")) == ("green", "blue")
