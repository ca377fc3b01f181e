"""A real nginx that takes one state of the traffic after the other, in front of two slots."""

from __future__ import annotations

import re
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from swiftdeploy_tasks.engines.local import proxy_process
from swiftdeploy_tasks.engines.local.own_nginx import OwnNginx
from swiftdeploy_tasks.manifest.model import Manifest
from swiftdeploy_tasks.model import components
from swiftdeploy_tasks.model.release import SLOTS, Slot
from swiftdeploy_tasks.model.state import Site, Traffic
from swiftdeploy_tasks.proxy import configuration, publication
from swiftdeploy_tasks.proxy.probe import Generation
from swiftdeploy_tasks.proxy.publication import Configuration
from tests.lab import require
from tests.ports import free_ports
from tests.proxy import FOLDERS

AT_ONCE = 100
_SLOT = re.compile(r"slot=(\w+)")
# Both apps are in the same nginx: each answers with its slot and the request's target.
_APP = 'server {{ listen 127.0.0.1:{port}; access_log off; return 200 "slot={slot} $request_uri\\n"; }}\n'


@dataclass(frozen=True)
class SplitNginx:
    """An nginx with the app of each slot; `ports` are the apps'."""

    asked: Manifest
    folder: Path
    ports: Mapping[Slot, int]

    @property
    def counts(self) -> Path:
        return self.folder / "counts"

    def made(self, traffic: Traffic, *, alive: Sequence[Slot] = SLOTS) -> Configuration:
        """Return the files of this traffic, with the apps that are `alive`."""
        new = Generation(traffic, "c", secrets.token_hex(8))
        site = Site(
            bind="127.0.0.1:",
            operators=("127.0.0.1",),
            resolver="",
            pid=str(self.folder / "nginx.pid"),
            temp=str(self.folder / "temp"),
            error_log=str(self.folder / "error.log"),
            access_logs=(str(self.folder / "access.log"),),
            counts=str(self.counts),
        )
        rendered = configuration.render(
            self.asked,
            site,
            folders=FOLDERS,
            addresses={slot: f"127.0.0.1:{port}" for slot, port in self.ports.items()},
            traffic=traffic,
            generation=new.text,
            generation_id=new.id,
        )
        apps = "".join(_APP.format(port=self.ports[slot], slot=slot) for slot in alive)
        rendered["nginx.conf"] = rendered["nginx.conf"].rstrip().removesuffix("}") + apps + "}\n"
        return Configuration(new.id, {name: text.encode() for name, text in rendered.items()})

    def route(self, traffic: Traffic, *, alive: Sequence[Slot] = SLOTS) -> str:
        """Put this traffic in force as a rollout does, and return the id of its generation."""
        new = self.made(traffic, alive=alive)
        publication.publish(OwnNginx(self.folder, self.folder / "error.log"), self.folder, new)
        return new.generation

    def slots(self, headers: Sequence[str], *, target: str = "/") -> list[str]:
        """Return the slot that answers each request; every request has one more line in its head."""
        found: list[str] = []
        for begin in range(0, len(headers), AT_ONCE):
            found += self._ask(headers[begin : begin + AT_ONCE], target)
        return found

    def _ask(self, headers: Sequence[str], target: str) -> list[str]:
        """Send the requests on one connection, without waiting for an answer before the next one."""
        heads = [f"GET {target} HTTP/1.1\r\nHost: shop\r\n{line}\r\n" for line in headers]
        sent = "\r\n".join(heads) + "Connection: close\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.asked.nginx.port), timeout=20) as wire:
            wire.sendall(sent.encode())
            text = wire.makefile("rb").read().decode()
        assert re.findall(r"HTTP/1\.1 (\d+)", text) == ["200"] * len(headers), text[:2000]
        return _SLOT.findall(text)


@contextmanager
def split_nginx(folder: Path, asked: Manifest) -> Iterator[SplitNginx]:
    """Run nginx as the local engine does, with all traffic for blue."""
    require("nginx")
    for name in ("temp", "counts"):
        (folder / name).mkdir()
    found = SplitNginx(asked, folder, dict(zip(SLOTS, free_ports(2), strict=True)))
    publication.write(folder, found.made(Traffic({"blue": 100})))
    ports = components.nginx(asked, str(folder)).ports
    proxy_process.start(folder, folder / "error.log", spec="s", ports=ports)
    try:
        yield found
    finally:
        proxy_process.end(folder)
