"""Which Docker Engine is spoken to, and how it is reached."""

from __future__ import annotations

import hashlib
import json
import shutil
import ssl
import subprocess
import threading
import tracemalloc
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, cast

import pytest

from swiftdeploy_tasks.engines import registry
from swiftdeploy_tasks.engines.docker import client
from swiftdeploy_tasks.errors import EngineError, PreflightError
from swiftdeploy_tasks.settings import find
from tests.proxy import accepted
from tests.proxy.test_rendered_root_files import BASE


@pytest.fixture
def configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Docker's configuration of a person who has one context, "here", and has chosen none."""
    folder = tmp_path / "docker"
    monkeypatch.setenv("DOCKER_CONFIG", str(folder))
    for name in ("DOCKER_HOST", "DOCKER_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    add(folder, "here", "unix:///run/user/7/docker.sock")
    return folder


def add(folder: Path, name: str, host: str) -> None:
    about = folder / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    about.parent.mkdir(parents=True)
    about.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


def use(folder: Path, name: str) -> None:
    (folder / "config.json").write_text(json.dumps({"currentContext": name}))


@pytest.mark.parametrize("chosen", ["", "default"])
def test_without_a_context_the_socket_of_the_host_is_used(configuration: Path, chosen: str) -> None:
    use(configuration, chosen)
    assert client.address() == client.SOCKET


def test_a_context_is_followed_as_the_docker_client_follows_it(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(configuration, "here")
    assert client.address() == "unix:///run/user/7/docker.sock"
    add(configuration, "beside", "tcp://127.0.0.1:2375")
    monkeypatch.setenv("DOCKER_CONTEXT", "beside")
    assert client.address() == "tcp://127.0.0.1:2375"
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/other.sock")
    assert client.address() == "unix:///run/other.sock"


def test_a_context_of_the_environment_needs_no_configuration_file(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_CONTEXT", "here")
    assert client.address() == "unix:///run/user/7/docker.sock"


def test_a_context_on_another_host_is_refused_by_its_name(configuration: Path) -> None:
    add(configuration, "far", "ssh://me@far.example.org")
    use(configuration, "far")
    with pytest.raises(
        PreflightError, match=r"context 'far' is 'ssh://me@far\.example\.org', which is another host"
    ) as no:
        client.address()
    assert no.value.next == "docker context use default"


def test_a_context_that_is_gone_is_refused_by_its_name(configuration: Path) -> None:
    use(configuration, "gone")
    with pytest.raises(PreflightError, match="context 'gone' cannot be used: there is no such context"):
        client.address()


def test_with_a_context_alone_auto_takes_docker(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "SOCKET", configuration / "no.sock")
    assert not registry.docker_is_here()
    use(configuration, "here")
    assert registry.docker_is_here()
    manifest = accepted({**BASE, "engine": "auto"})
    assert registry.choose(find(configuration), manifest).name == "docker"


def test_auto_that_takes_local_beside_a_docker_client_says_so(
    configuration: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "SOCKET", configuration / "no.sock")
    settings = find(configuration)
    local, auto = registry.make("local", settings), accepted({**BASE, "engine": "auto"})
    program = configuration / "docker"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(configuration))
    said = registry.notice(settings, auto, local)
    assert f"auto takes local: {program} is here, and there is no Docker Engine" in said
    assert registry.notice(settings, accepted({**BASE, "engine": "local"}), local) == ""
    program.unlink()
    assert registry.notice(settings, auto, local) == ""


class _Engine(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({"ApiVersion": "1.41", "Version": "20.10"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def engine() -> Iterator[int]:
    """The port of an engine that only says its version."""
    with HTTPServer(("127.0.0.1", 0), _Engine) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_an_engine_on_a_port_of_this_host_is_reached_past_a_proxy(
    engine: int, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for other in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{engine}")
    found = client.client.__wrapped__()
    assert found.api.api_version == "1.41"
    found.close()


@pytest.fixture
def certificates(tmp_path: Path) -> Path:
    """A folder as Docker wants it, whose ca.pem signs itself: it serves as the engine's certificate too."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    words = (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1"
    )
    made = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", *words.split(), *made], check=True, capture_output=True)
    shutil.copy(folder / "cert.pem", folder / "ca.pem")
    return folder


@pytest.mark.parametrize("by", ["DOCKER_HOST", "context"])
def test_an_engine_that_asks_for_a_certificate_is_shown_it(
    configuration: Path, certificates: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    about = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    about.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    about.load_verify_locations(certificates / "ca.pem")
    about.verify_mode = ssl.CERT_REQUIRED
    with HTTPServer(("127.0.0.1", 0), _Engine) as server:
        server.socket = about.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        where = f"tcp://127.0.0.1:{server.server_port}"
        if by == "context":
            add(configuration, "safe", where)
            use(configuration, "safe")
            digest = hashlib.sha256(b"safe").hexdigest()
            shutil.copytree(certificates, configuration / "contexts" / "tls" / digest / "docker")
        else:
            monkeypatch.setenv("DOCKER_HOST", where)
            monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
            monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
        try:
            found = client.client.__wrapped__()
            assert found.api.api_version == "1.41"
            found.close()
        finally:
            server.shutdown()
    given = client.environment()
    assert given["DOCKER_HOST"] == where
    assert Path(given["DOCKER_CERT_PATH"], "key.pem").read_bytes() == (certificates / "key.pem").read_bytes()


def test_a_certificate_that_is_missing_is_named(configuration: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:2376 cannot be used: .*client_cert"):
        client.client.__wrapped__()


def test_the_last_output_of_a_container_is_read_in_bounded_memory() -> None:
    """An app that prints without an end, in lines or in none."""

    class Container:
        def logs(self, **options: Any) -> Iterator[bytes]:
            assert options == {"stream": True, "follow": False, "tail": 20}
            return (b"%015d\n" % number * 4096 for number in range(1000))

    tracemalloc.start()
    try:
        text = client.last_output(cast("Any", Container()), most=4096, tail=20)
        assert text == f"{999:015}\n" * 256
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
