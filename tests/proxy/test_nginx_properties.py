from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model.release import Slot
from swiftdeploy_tasks.model.state import Site, Traffic
from swiftdeploy_tasks.proxy import configuration
from swiftdeploy_tasks.proxy.private_paths import LONGEST
from tests.lab import require
from tests.manifest.strategies import manifests
from tests.proxy import EXAMPLES, FEW_EXAMPLES, FOLDERS, accepted, root_files
from tests.proxy.nginx_conf import Directive, read

ON_HOST = Site(
    bind="127.0.0.1:",
    operators=("127.0.0.1",),
    resolver="",
    pid="/srv/a shop/nginx.pid",
    temp="/srv/a shop/temp",
    error_log="/srv/a shop/error.log",
    access_logs=("/srv/a shop/access.log",),
)
IN_CONTAINER = dataclasses.replace(configuration.CONTAINER_SITE, operators=("172.18.0.1",))
traffics = st.sampled_from(
    [
        Traffic(),
        Traffic({"blue": 100}),
        Traffic({"green": 100}, "blue"),
        Traffic({"blue": 90, "green": 10}),
    ]
)
sites = st.sampled_from([ON_HOST, IN_CONTAINER, dataclasses.replace(IN_CONTAINER, inline=True)])


@st.composite
def places(draw: st.DrawFn) -> tuple[Site, dict[Slot, str]]:
    site = draw(sites)
    every: dict[Slot, str] = {"blue": "127.0.0.1:4001", "green": "127.0.0.1:4002"}
    if site.resolver:
        every = {"blue": "app-blue:3000", "green": "app-green:3000"}
    return site, {slot: every[slot] for slot in draw(st.sets(st.sampled_from(sorted(every))))}


def render(
    asked: Manifest, site: Site, addresses: dict[Slot, str], traffic: Traffic, generation: str = "g1"
) -> dict[str, str]:
    return configuration.render(
        asked, site, folders=FOLDERS, addresses=addresses, traffic=traffic, generation=generation
    )


def tame(asked: Manifest) -> Manifest:
    """The same manifest with every string that is free to choose replaced by a harmless one."""
    private = tuple(f"/p{number}" for number, _ in enumerate(asked.nginx.private))
    return dataclasses.replace(
        asked, name="n", contact="c", nginx=dataclasses.replace(asked.nginx, private=private, image="i")
    )


def servers(conf: Directive) -> tuple[Directive, Directive, Directive]:
    """The public server, the one that hangs up on strangers, and the operator's."""
    (http,) = conf.all("http")
    public, strangers, operator = [inner for inner in http.block or () if inner.name == "server"]
    return public, strangers, operator


@EXAMPLES
@given(manifests(), places(), traffics)
def test_no_string_of_the_manifest_makes_or_unmakes_a_directive(
    data: dict[str, Any], place: tuple[Site, dict[Slot, str]], traffic: Traffic
) -> None:
    asked = accepted(data)
    wild, meek = render(asked, *place, traffic), render(tame(asked), *place, traffic)
    assert [read(text).shape for text in wild.values()] == [read(text).shape for text in meek.values()]


@EXAMPLES
@given(manifests(), places(), traffics)
def test_every_error_body_is_json_that_names_service_and_contact(
    data: dict[str, Any], place: tuple[Site, dict[Slot, str]], traffic: Traffic
) -> None:
    asked = accepted(data)
    public, _, _ = servers(read(render(asked, *place, traffic)["nginx.conf"]))
    bodies = [found.arguments for found in public.all("return") if len(found.arguments) > 1]
    # The pages of nginx's errors and the one of private paths; 421 where not every host is served.
    assert len(bodies) == len(configuration.ANSWERS) + bool(asked.nginx.hosts)
    for code, body in bodies:
        said = json.loads(body)
        assert said.keys() == {"error", "code", "service", "contact"}
        assert (said["code"], said["service"], said["contact"]) == (int(code), asked.name, asked.contact)


def private_patterns(conf: Directive) -> list[list[re.Pattern[str]]]:
    """The expressions of the private paths, for the request line and for what nginx makes of it."""
    tables = [found for found in conf.all("map") if found.arguments[1] in {"$sd_written", "$sd_private"}]
    assert [found.arguments[0] for found in tables] == ["$request_uri", "$uri"]
    return [
        [re.compile(entry.name.removeprefix("~*"), re.IGNORECASE) for entry in table.block[1:]]
        for table in tables
        if table.block
    ]


@EXAMPLES
@given(manifests())
def test_a_private_path_is_refused_as_a_whole_segment_and_nothing_else_is(data: dict[str, Any]) -> None:
    asked = accepted(data)
    written, resolved = private_patterns(read(render(asked, ON_HOST, {}, Traffic())["nginx.conf"]))
    assert [found.pattern for found in written] == [found.pattern for found in resolved]
    assert len(written) == len(asked.nginx.private)
    for path, pattern in zip(asked.nginx.private, written, strict=True):
        for form in (path, path.upper(), path.swapcase(), path.replace("/", "//"), f"/x/..{path}"):
            assert all(pattern.search(form + tail) for tail in ("", "/", ";x", "/deeper", "%20", "."))
        twice = "".join(f"%25{ord(sign):02X}" for sign in path)
        assert pattern.search(twice) and pattern.search(twice.replace("%25", "%"))
        assert not any(pattern.search(other) for other in ("/x" + path, path[:-1], "/"))
        assert not pattern.search(path + "x") or len(pattern.pattern) > LONGEST - 300


def test_a_dot_in_a_private_path_is_a_dot_only() -> None:
    data = minimal(nginx={"image": "nginx", "port": 8080, "private": ["/a.b"]})
    ((pattern,), _) = private_patterns(read(root_files(accepted(data))["nginx.conf"]))
    assert pattern.search("/a.b") and not pattern.search("/axb")


@pytest.mark.parametrize("path", ["/" + "ikS" * 66, "/a" * 100])
def test_a_path_too_long_for_an_expression_of_nginx_is_private_with_all_that_begins_like_it(
    path: str,
) -> None:
    data = minimal(nginx={"image": "nginx", "port": 8080, "private": [path]})
    ((pattern,), _) = private_patterns(read(root_files(accepted(data))["nginx.conf"]))
    assert len(pattern.pattern) <= LONGEST
    assert pattern.search(path) and pattern.search(path.upper() + "x")
    assert not pattern.search(path[:20])


@EXAMPLES
@given(manifests(), places(), traffics)
def test_ports_and_times_are_those_of_the_manifest(
    data: dict[str, Any], place: tuple[Site, dict[Slot, str]], traffic: Traffic
) -> None:
    asked, (site, _) = accepted(data), place
    conf = read(render(asked, *place, traffic)["nginx.conf"])
    _, strangers, operator = servers(conf)
    listens = [[found.arguments[0] for found in server.all("listen")] for server in servers(conf)]
    ports = (asked.nginx.port, asked.nginx.operator_port, asked.nginx.operator_port)
    assert listens == [[f"{site.bind}{port}"] for port in ports]
    assert [found.arguments for found in strangers.all("return")] == [("444",)]
    assert [found.arguments for found in operator.all("server_name")] == [("127.0.0.1", "localhost")]
    times = {found.arguments[0] for found in conf.all("proxy_read_timeout")}
    own = {asked.nginx.proxy_timeout, *(route.proxy_timeout for route in asked.nginx.routes)}
    assert times == {f"{seconds}s" for seconds in (*own, configuration.UPGRADED_SECONDS)}
    assert [found.arguments for found in conf.all("keepalive_min_timeout")] == [
        (f"{asked.rollout.drain - 2}s",)
    ]


@EXAMPLES
@given(manifests(), places(), traffics)
def test_the_split_is_the_traffic_and_an_absent_slot_is_a_closed_port(
    data: dict[str, Any], place: tuple[Site, dict[Slot, str]], traffic: Traffic
) -> None:
    _, addresses = place
    asked = accepted(data)
    rendered = render(asked, *place, traffic)
    conf = read(rendered.get("upstream.conf", rendered["nginx.conf"]))
    upstreams = {found.arguments[0]: found for found in conf.all("upstream")}
    chosen = set() if asked.rollout.sticky == "none" else {"app_blue", "app_green"}
    assert upstreams.keys() == {"app", "slot_blue", "slot_green", *chosen}
    app = [found.arguments for found in upstreams["app"].all("server")]
    weights = sorted(word for words in app for word in words if word.startswith("weight="))
    assert weights == sorted(f"weight={share}" for share in traffic.weights.values())
    assert sum("backup" in words for words in app) == (traffic.backup in addresses)
    assert all("max_fails=0" in words for words in app if traffic.weights)
    for slot in ("blue", "green"):
        (peer,) = upstreams[f"slot_{slot}"].all("server")
        assert peer.arguments[0] == addresses.get(slot, "127.0.0.1:9")


@EXAMPLES
@given(manifests(), places(), traffics)
def test_a_client_sticks_to_a_slot_only_while_both_have_a_share_and_goes_to_the_other_where_it_fails(
    data: dict[str, Any], place: tuple[Site, dict[Slot, str]], traffic: Traffic
) -> None:
    _, addresses = place
    asked = accepted(data)
    rendered = render(asked, *place, traffic)
    conf = read("".join(rendered.values()))
    sticky = asked.rollout.sticky
    splits = [(found.arguments, found.block) for found in conf.all("split_clients")]
    assert len(splits) == (sticky != "none" and len(traffic.weights) == 2)
    for (key, _), entries in splits:
        assert key == {"client": "$remote_addr", "cookie": "$sd_key"}[sticky]
        shares = [(found.name, *found.arguments) for found in entries or ()]
        assert shares == [(f"{traffic.of('blue')}%", "blue"), ("*", "green")]
    for upstream in (found for found in conf.all("upstream") if found.arguments[0].startswith("app_")):
        own: Slot = "blue" if upstream.arguments == ("app_blue",) else "green"
        peers = [found.arguments for found in upstream.all("server")]
        assert peers[0][0] == addresses.get(own, "127.0.0.1:9")
        assert [(words[0], words[-1]) for words in peers[1:]] == [
            (address, "backup") for slot, address in addresses.items() if slot != own
        ]
    targets = {found.arguments[0] for found in conf.all("proxy_pass")} - {
        f"http://slot_{slot}/" for slot in ("blue", "green")
    }
    app = "app" if sticky == "none" else "$sd_app"
    assert targets == {f"http://{app}", f"http://{app}$request_uri"}
    assert ("Set-Cookie" in rendered["nginx.conf"]) == (sticky == "cookie")


@EXAMPLES
@given(manifests(), places().filter(lambda place: not place[0].inline), traffics)
def test_what_names_a_slot_stays_out_of_nginx_conf_where_upstreams_have_a_file_of_their_own(
    data: dict[str, Any], place: tuple[Site, dict[Slot, str]], traffic: Traffic
) -> None:
    site, addresses = place
    asked = accepted(data)
    bare = render(asked, site, {}, Traffic(), generation="g2")
    assert render(asked, site, addresses, traffic)["nginx.conf"] == bare["nginx.conf"]


def test_the_body_of_an_error_page_carries_any_script() -> None:
    data = minimal(contact="Ops #1; дежурный <ops@例え.jp> (24/7)")
    public, _, _ = servers(read(root_files(accepted(data))["nginx.conf"]))
    bodies = {found.arguments[0]: found.arguments[1] for found in public.all("return") if found.arguments[1:]}
    assert json.loads(bodies["502"])["contact"] == "Ops #1; дежурный <ops@例え.jp> (24/7)"


def minimal(**top: Any) -> dict[str, Any]:
    return {
        "services": {"image": "shop:1", "port": 3000},
        "nginx": {"image": "nginx", "port": 8080},
        "network": {"name": "net", "driver_type": "bridge"},
        **top,
    }


@pytest.fixture(scope="session")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("nginx") / "a shop"
    (folder / "temp").mkdir(parents=True)
    return folder


def refusal(nginx: str, folder: Path) -> str:
    """What the real nginx says against the files in the folder, "" when it takes them."""
    words = [nginx, "-t", "-q", "-p", f"{folder}/", "-e", "stderr", "-c", str(folder / "nginx.conf")]
    said = subprocess.run(words, capture_output=True, text=True, timeout=20)
    return said.stderr if said.returncode else ""


def moved(text: str, folder: Path) -> str:
    """The file with its own places in the folder, and its ports on the loopback address only."""
    text = re.sub(r'"(?:/srv/a shop|/var/log/swiftdeploy|/tmp)(?=/|")', lambda _: f'"{folder}', text)
    return re.sub(r"(?m)^( *listen )(?=\d+[ ;])", r"\g<1>127.0.0.1:", text)


@settings(FEW_EXAMPLES, max_examples=60)
@given(manifests(), places(), traffics)
def test_the_real_nginx_takes_what_is_applied(
    workplace: Path, data: dict[str, Any], place: tuple[Site, dict[Slot, str]], traffic: Traffic
) -> None:
    nginx = require("nginx")
    for name, text in render(accepted(data), *place, traffic).items():
        (workplace / name).write_text(moved(text, workplace), encoding="utf-8")
    assert refusal(nginx, workplace) == ""


@FEW_EXAMPLES
@given(manifests(), st.sampled_from(["docker", "local"]), st.booleans())
def test_the_real_nginx_takes_the_file_for_review(
    workplace: Path, data: dict[str, Any], engine: str, with_opa: bool
) -> None:
    nginx = require("nginx")
    text = root_files(accepted(data), engine=engine, with_opa=with_opa)["nginx.conf"]
    (workplace / "nginx.conf").write_text(moved(text, workplace), encoding="utf-8")
    assert refusal(nginx, workplace) == ""
