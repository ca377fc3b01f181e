from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from swiftdeploy_tasks.manifest import loading
from swiftdeploy_tasks.manifest.model import (
    Build,
    EnvVar,
    Health,
    HistoryLimits,
    Manifest,
    MetricsPage,
    Network,
    Nginx,
    Opa,
    Resources,
    Rollout,
    Route,
    Services,
    Stop,
    Volume,
)
from tests.manifest import SCHEMA

CASES = Path(__file__).parent / "cases"
BASE = (CASES / "accepted-base-keys" / "manifest.yaml").read_text(encoding="utf-8")


def loaded(tmp_path: Path, text: str) -> Manifest:
    path = tmp_path / "manifest.yaml"
    path.write_text(text, encoding="utf-8", newline="")
    return loading.load(path, schema=SCHEMA)


def test_the_six_base_keys_alone_give_every_default(tmp_path: Path) -> None:
    assert loaded(tmp_path, BASE) == Manifest(
        name="swiftdeploy",
        services=Services(
            image="shop:1",
            port=3000,
            mode="stable",
            version="1.0.0",
            restart_policy="unless-stopped",
            log_volume="swiftdeploy-logs",
            build=None,
            source="app",
            source_named=False,
            process=None,
            command=None,
            user="10001:10001",
            read_only=True,
            tmpfs=("/tmp",),
            volumes=(),
            stop=Stop("SIGTERM", 15),
            env=(),
            health=Health("/healthz", 1.0, 3, 60.0),
            metrics=MetricsPage("/metrics"),
            resources=Resources(1.0, "256m"),
        ),
        nginx=Nginx(
            "nginx:latest",
            8080,
            8081,
            30,
            ("/metrics",),
            60,
            "8m",
            (),
            (),
            (),
            10_000,
            Resources(None, "512m"),
        ),
        opa=Opa("openpolicyagent/opa:latest-static", 8181),
        network=Network("shop-net", "bridge"),
        contact="ops@swiftdeploy.local",
        engine="auto",
        gate="auto",
        rollout=Rollout(
            (100,),
            10.0,
            15,
            20,
            overlap=True,
            advance="unrefuted",
            undecided="advance",
            patience=300.0,
            warmup=2.0,
            sticky="none",
        ),
        policy={"infrastructure": {}, "canary": {}},
        history=HistoryLimits(10_000_000, 100),
        rendered=".",
        digest=hashlib.sha256(BASE.encode()).hexdigest(),
    )


def test_every_key_that_is_written_arrives_in_its_place() -> None:
    read = loading.load(CASES / "accepted-everything" / "manifest.yaml", schema=SCHEMA)
    services = read.services
    assert (services.mode, services.version, services.restart_policy) == (
        "canary",
        "1.4.2+build.7",
        "on-failure",
    )
    assert services.build == Build("./service", "docker/Dockerfile", (("PYTHON", "3.12"),))
    assert (services.source, services.source_named) == (".", True)
    assert services.process == ("python", "-m", "shop", "")
    assert services.command == ("gunicorn", "shop.wsgi", "")
    assert (services.user, services.read_only, services.stop) == ("image", False, Stop("SIGQUIT", 60))
    assert services.tmpfs == ("/tmp", "/var/cache/shop")
    assert services.volumes == (Volume("data", "/data"), Volume("uploads-2", "/srv/uploads"))
    assert services.env == (
        EnvVar("DATABASE_URL", None, "SHOP_DATABASE_URL"),
        EnvVar("GREETING", 'costs $5 {{ now }} "quoted"\nsecond line', None),
        EnvVar("PIN", None, "SHOP_PIN", short=True),
    )
    assert services.health == Health("/", 0.5, 1, 10.0)
    assert services.metrics is None
    assert services.resources == Resources(0.25, "1g")
    routes = (Route("/upload", 60, "2g", buffering=False), Route("/upload/small", 3600, "0", buffering=True))
    hosts = ("shop.example.com", "*.example.org")
    private = ("/metrics", "/admin/v1", "/.git")
    proxies, limits = ("10.0.0.0/8", "2001:db8::/32"), Resources(1.5, "1g")
    assert read.nginx == Nginx("nginx", 80, 1, 3600, private, 0, "0", routes, hosts, proxies, 100_000, limits)
    assert read.rollout == Rollout(
        (1, 10, 50, 100),
        0.5,
        12,
        0,
        overlap=False,
        advance="proven",
        undecided="hold",
        patience=0.5,
        warmup=0.0,
        sticky="cookie",
    )
    assert read.policy == {
        "infrastructure": {"min_disk_free_gb": 0, "max_load_per_core": 0.5, "max_memory_used_percent": 100},
        "canary": {
            "max_error_rate": 0,
            "max_error_ratio": 1,
            "max_p99_ms": 250.5,
            "max_slow_ratio": 2.5,
            "evidence": 100,
            "window": 5,
            "min_requests": 10,
        },
        "isolation": {"non_root": False},
    }
    assert (read.engine, read.gate) == ("local", "embedded")
    assert read.history == HistoryLimits(10_000, 1, "/mnt/audit/shop.heads")


def test_the_limits_of_the_history_are_read_from_a_manifest_that_is_not_valid_too(tmp_path: Path) -> None:
    for text, wanted in (
        (None, HistoryLimits()),
        ("nginx: 3", HistoryLimits()),
        ("nginx: 3\nhistory: {keep: 7}", HistoryLimits(keep=7)),
        ("history: {keep: 0, max_bytes: 1e5, witness: 3}", HistoryLimits(max_bytes=100_000)),
        ("history: {keep: true, max_bytes: .inf, witness: heads}", HistoryLimits(witness="heads")),
        ("history: {max_bytes: 50000001}", HistoryLimits()),
        ("history: 7", HistoryLimits()),
        ("history: {keep: 7", HistoryLimits()),
    ):
        if text is not None:
            (tmp_path / "manifest.yaml").write_text(text)
        assert loading.history_limits(tmp_path / "manifest.yaml") == wanted, text


def test_the_limits_of_the_history_are_those_of_the_schema(tmp_path: Path) -> None:
    given = loading.rules(SCHEMA)["properties"]["history"]["properties"]
    default = HistoryLimits()
    assert (given["max_bytes"]["default"], given["keep"]["default"]) == (default.max_bytes, default.keep)
    for name, value in (("max_bytes", "maximum"), ("max_bytes", "minimum"), ("keep", "maximum")):
        bound = given[name][value]
        text = f"history: {{{name}: {bound}}}"
        (tmp_path / "manifest.yaml").write_text(text)
        assert getattr(loading.history_limits(tmp_path / "manifest.yaml"), name) == bound
    assert ("default" in given["witness"], default.witness) == (False, None)


def test_whole_numbers_that_were_written_with_a_point_are_integers() -> None:
    read = loading.load(CASES / "accepted-everything" / "manifest.yaml", schema=SCHEMA)
    assert [type(step) for step in read.rollout.steps] == [int] * 4


def test_words_that_old_yaml_took_for_booleans_and_numbers_stay_text() -> None:
    case = CASES / "accepted-words-that-old-yaml-took-for-booleans" / "manifest.yaml"
    env = loading.load(case, schema=SCHEMA).services.env
    assert [variable.value for variable in env] == ["yes", "off", "0o17", "1_000", "12:30", "2026-01-31"]


def test_an_unquoted_no_is_the_restart_policy_no() -> None:
    read = loading.load(CASES / "accepted-restart-policy-no" / "manifest.yaml", schema=SCHEMA)
    assert read.services.restart_policy == "no"


@pytest.mark.parametrize(("written", "seconds"), [("45", 45), ("45s", 45), ('"1s"', 1), ("3600s", 3600)])
def test_the_proxy_timeout_is_whole_seconds_with_or_without_their_unit(
    tmp_path: Path, written: str, seconds: int
) -> None:
    read = loaded(tmp_path, BASE.replace("port: 8080", f"port: 8080\n  proxy_timeout: {written}"))
    assert read.nginx.proxy_timeout == seconds


def test_a_folder_to_build_is_short_for_its_context(tmp_path: Path) -> None:
    read = loaded(tmp_path, BASE.replace("port: 3000", "port: 3000\n  build: ."))
    assert read.services.build == Build(".", "Dockerfile", ())


@pytest.mark.parametrize("written", ["null", "{path: null}", "{path: }"])
def test_metrics_can_be_declared_absent(tmp_path: Path, written: str) -> None:
    read = loaded(tmp_path, BASE.replace("port: 3000", f"port: 3000\n  metrics: {written}"))
    assert read.services.metrics is None


def test_metrics_without_a_path_are_where_they_usually_are(tmp_path: Path) -> None:
    read = loaded(tmp_path, BASE.replace("port: 3000", "port: 3000\n  metrics: {}"))
    assert read.services.metrics == MetricsPage("/metrics")


def test_metrics_can_be_measured_by_nginx(tmp_path: Path) -> None:
    read = loaded(tmp_path, BASE.replace("port: 3000", "port: 3000\n  metrics: {from: nginx}"))
    assert read.services.metrics == "nginx"


def test_the_manifest_that_ships_loads_and_builds_its_own_folder() -> None:
    read = loading.load(SCHEMA.parents[1] / "manifest.yaml", schema=SCHEMA)
    assert read.services.build == Build(".", "Dockerfile", ())
    assert (read.services.image, read.services.port) == ("swift-deploy-1-node:latest", 3000)
    assert (read.nginx.port, read.network.name) == (8080, "swiftdeploy-net")


def test_the_name_gives_the_log_volume_unless_it_is_named(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"name: shop\n{BASE}").services.log_volume == "shop-logs"
    named = BASE.replace("port: 3000", "port: 3000\n  log_volume: kept")
    assert loaded(tmp_path, f"name: shop\n{named}").services.log_volume == "kept"


def test_the_name_gives_the_network_unless_it_is_named(tmp_path: Path) -> None:
    without = BASE.partition("network:")[0]
    assert loaded(tmp_path, f"name: shop\n{without}").network == Network("shop-net", "bridge")
    named = f"{without}network: {{name: other}}\n"
    assert loaded(tmp_path, f"name: shop\n{named}").network == Network("other", "bridge")


@pytest.mark.parametrize(
    ("written", "follows"),
    [
        ("{}", "advance"),
        ("{advance: unrefuted, undecided: null}", "advance"),
        ("{advance: proven}", "rollback"),
        ("{advance: proven, undecided: null}", "rollback"),
        ("{advance: proven, undecided: advance}", "advance"),
        ("{undecided: rollback}", "rollback"),
        ("{undecided: hold}", "hold"),
    ],
)
def test_what_follows_an_undecided_step_goes_by_what_ends_one(
    tmp_path: Path, written: str, follows: str
) -> None:
    assert loaded(tmp_path, f"{BASE}rollout: {written}\n").rollout.undecided == follows


def test_the_patience_is_at_least_the_interval_where_none_is_given(tmp_path: Path) -> None:
    assert loaded(tmp_path, f"{BASE}rollout: {{interval: 600}}\n").rollout.patience == 600
    given = loaded(tmp_path, f"{BASE}rollout: {{interval: 600, patience: 601}}\n")
    assert given.rollout.patience == 601


def test_any_other_byte_gives_another_digest(tmp_path: Path) -> None:
    assert loaded(tmp_path, BASE).digest != loaded(tmp_path, BASE + "\n").digest
