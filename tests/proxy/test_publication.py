"""nginx's files are put in force whole, or the former ones stay."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from swiftdeploy_tasks.errors import ProxyError
from swiftdeploy_tasks.proxy import publication
from swiftdeploy_tasks.proxy.publication import NAMES, Configuration, publish, read, write


def files(generation: str) -> dict[str, bytes]:
    return {name: f"{name} of {generation}".encode() for name in NAMES}


def configuration(generation: str, *, is_tested: bool = False) -> Configuration:
    return Configuration(generation, files(generation), is_tested=is_tested)


@dataclass
class Fake:
    """An nginx that loads what lies in its folder when it is reloaded."""

    folder: Path
    refuses: bool = False
    reloads: bool = True
    loaded: str = "former"
    calls: list[str] = field(default_factory=list)
    read_at_reload: dict[str, bytes] = field(default_factory=dict)

    def test(self) -> None:
        self.calls.append("test")
        assert read(self.folder / publication.NEXT)
        if self.refuses:
            raise ProxyError("refused")

    def reload(self) -> None:
        self.calls.append("reload")
        self.read_at_reload = read(self.folder)
        if self.reloads:
            self.loaded = self.read_at_reload[NAMES[0]].decode().rpartition(" ")[2]

    def workers(self) -> Mapping[int, bool]:
        return {self.calls.count("reload"): False}

    def operator_port(self) -> int:
        return 1

    def log(self) -> tuple[str, ...]:
        return ("its log",)


@pytest.fixture
def nginx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    found = Fake(tmp_path)
    write(tmp_path, configuration("former"))
    monkeypatch.setattr(publication, "loaded_id", lambda port: found.loaded)
    monkeypatch.setattr(publication, "IN_FORCE_SECONDS", 0.05)
    return found


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def test_files_are_tested_before_they_take_the_place_of_the_former_ones(nginx: Fake) -> None:
    publish(nginx, nginx.folder, configuration("new"))
    assert nginx.calls == ["test", "reload"]
    assert (nginx.loaded, read(nginx.folder)) == ("new", files("new"))
    assert left(nginx.folder) == set(NAMES)


def test_files_that_nginx_refuses_change_nothing(nginx: Fake) -> None:
    nginx.refuses = True
    with pytest.raises(ProxyError, match="refused"):
        publish(nginx, nginx.folder, configuration("new"))
    assert (nginx.calls, read(nginx.folder)) == (["test"], files("former"))
    assert left(nginx.folder) == set(NAMES)


def test_files_that_do_not_come_in_force_are_replaced_by_the_former_ones(nginx: Fake) -> None:
    nginx.reloads = False
    with pytest.raises(ProxyError, match="did not load generation new within") as raised:
        publish(nginx, nginx.folder, configuration("new"))
    assert raised.value.log == ("its log",)
    assert read(nginx.folder) == nginx.read_at_reload == files("former")


def test_an_nginx_that_starts_again_reads_the_files_of_the_undo(nginx: Fake) -> None:
    publish(nginx, nginx.folder, configuration("new"), back=configuration("back"))
    assert nginx.read_at_reload == files("new")
    assert (nginx.loaded, read(nginx.folder)) == ("new", files("back"))
    assert (nginx.folder / publication.WATCHED).read_text() == "new"


@pytest.mark.parametrize("reloads", [True, False])
def test_files_that_were_in_force_before_are_not_tested_again(nginx: Fake, reloads: bool) -> None:
    """An nginx that started again meanwhile has them in force, and is not reloaded."""
    nginx.loaded = "new" if reloads else "back"
    publish(nginx, nginx.folder, configuration("back", is_tested=True))
    assert nginx.calls == ["reload"] * reloads
    assert (nginx.loaded, read(nginx.folder)) == ("back", files("back"))
