"""Clients that stick to a slot, at a real nginx: the split by clients, the cookie, and a slot that dies."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address
from math import sqrt
from typing import Any

import pytest

from swiftdeploy_tasks.metrics import Counter
from swiftdeploy_tasks.model.release import Slot, other
from swiftdeploy_tasks.model.state import Traffic
from swiftdeploy_tasks.proxy.probe import until
from tests.e2e.wire import Answer, ask
from tests.ports import free_ports
from tests.proxy import accepted
from tests.proxy.split_nginx import SplitNginx, split_nginx

CLIENTS = 10_000
STEPS = (5, 20, 50, 80, 100)
COOKIE = re.compile(r"swiftdeploy=([0-9a-f]{32}); Path=/; HttpOnly; SameSite=Lax")
CHANCE = random.Random(17)
KEYS = [f"Cookie: swiftdeploy={CHANCE.randbytes(16).hex()}" for _ in range(CLIENTS)]
# Half of the addresses are of one network, one after the other, and half are IPv6.
ADDRESSES = [
    f"X-Forwarded-For: {address}"
    for number in range(CLIENTS // 2)
    for address in (IPv4Address("203.0.113.0") + number, IPv6Address(CHANCE.getrandbits(128)))
]


def manifest(**rollout: Any) -> Any:
    public, operator = free_ports(2)
    return accepted(
        {
            "services": {"image": "shop:1", "port": 3000},
            "nginx": {
                "image": "nginx",
                "port": public,
                "operator_port": operator,
                "trusted_proxies": ["127.0.0.1"],
                "routes": [{"path": "/upload", "proxy_timeout": 5}],
                "resources": {"cpus": 1},
            },
            "network": {"name": "net", "driver_type": "bridge"},
            "rollout": rollout,
        }
    )


@pytest.fixture(scope="module")
def shops(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, SplitNginx]]:
    with ExitStack() as stack:
        yield {
            sticky: stack.enter_context(
                split_nginx(tmp_path_factory.mktemp(sticky), manifest(sticky=sticky, drain=12))
            )
            for sticky in ("client", "cookie")
        }


@pytest.fixture(scope="module")
def by_cookie(shops: dict[str, SplitNginx]) -> SplitNginx:
    return shops["cookie"]


def shared(new: Slot, percent: int, *, counted: bool = False) -> Traffic:
    if percent == 100:
        return Traffic({new: 100}, other(new), counted)
    return Traffic({new: percent, other(new): 100 - percent}, counted=counted)


@pytest.mark.parametrize(
    ("sticky", "clients", "new"),
    [("cookie", KEYS, "green"), ("cookie", KEYS, "blue"), ("client", ADDRESSES, "green")],
    ids=["cookie-green", "cookie-blue", "client-green"],
)
def test_the_clients_of_a_share_stay_at_the_new_slot_while_it_grows(
    shops: dict[str, SplitNginx], sticky: str, clients: list[str], new: Slot
) -> None:
    shop, at_new = shops[sticky], set[str]()
    for percent in STEPS:
        shop.route(shared(new, percent))
        found = shop.slots(clients)
        now = {client for client, slot in zip(clients, found, strict=True) if slot == new}
        share = percent / 100
        assert abs(len(now) - share * CLIENTS) <= 3 * sqrt(CLIENTS * share * (1 - share)), (percent, len(now))
        assert at_new <= now, f"{len(at_new - now)} of {len(at_new)} went back at {percent} %"
        at_new = now


def answer(shop: SplitNginx, cookie: str = "", **headers: str) -> Answer:
    sent = {"Cookie": cookie} if cookie else {}
    found = ask(shop.asked.nginx.port, "/", headers={**sent, **headers})
    assert found.status == 200
    return found


def new_key(found: Answer) -> str:
    """Return the key of the one cookie that was set, with exactly these attributes."""
    (line,) = found.all("Set-Cookie")
    given = COOKIE.fullmatch(line)
    assert given, line
    return given[1]


def test_a_client_without_a_cookie_gets_a_key_that_keeps_the_slot_of_its_first_answer(
    by_cookie: SplitNginx,
) -> None:
    by_cookie.route(shared("green", 50))
    keys = set()
    for _ in range(20):
        first = answer(by_cookie)
        keys.add(new_key(first))
        again = answer(by_cookie, f"theme=dark; swiftdeploy={new_key(first)}; lang=en")
        assert (again.body, again.all("Set-Cookie")) == (first.body, [])
    assert len(keys) == 20


@pytest.mark.parametrize(("scheme", "end"), [("https", "; Secure"), ("http", ""), ("HTTPS, http", "")])
def test_the_cookie_is_secure_where_the_client_uses_tls(by_cookie: SplitNginx, scheme: str, end: str) -> None:
    (line,) = answer(by_cookie, **{"X-Forwarded-Proto": scheme}).all("Set-Cookie")
    assert COOKIE.sub("", line) == end


@pytest.mark.parametrize(
    "value",
    ["", "0" * 31, "0" * 33, "g" * 32, f"{'0' * 31} ", f'"{"0" * 32}"', f"{'0' * 32}%0d%0aX: y", "a" * 900],
)
def test_an_ill_formed_cookie_counts_as_none(by_cookie: SplitNginx, value: str) -> None:
    assert new_key(answer(by_cookie, f"swiftdeploy={value}")) not in value


def test_a_cookie_of_32_hex_digits_is_a_key_wherever_it_came_from(by_cookie: SplitNginx) -> None:
    for value in ("0" * 32, "A" * 32):
        found = {answer(by_cookie, f"swiftdeploy={value}") for _ in range(5)}
        assert {(one.body, *one.all("Set-Cookie")) for one in found} == {(next(iter(found)).body,)}


def test_without_a_split_the_key_is_given_and_kept_too(by_cookie: SplitNginx) -> None:
    by_cookie.route(Traffic({"green": 100}))
    key = new_key(answer(by_cookie))
    assert answer(by_cookie, f"swiftdeploy={key}").all("Set-Cookie") == []


@pytest.mark.parametrize("sticky", ["client", "cookie"])
@pytest.mark.parametrize("dead", ["blue", "green"])
def test_the_clients_of_a_dead_slot_are_served_by_the_other(
    shops: dict[str, SplitNginx], sticky: str, dead: Slot
) -> None:
    shop, clients = shops[sticky], (KEYS if sticky == "cookie" else ADDRESSES)[:400]
    alive = other(dead)
    shop.route(shared("green", 50), alive=[alive])
    assert set(shop.slots(clients)) == {alive}
    shop.route(shared("green", 50))
    assert set(shop.slots(clients)) == {"blue", "green"}


@pytest.mark.parametrize("target", ["/a/b?c=%2Fd", "/upload/x%20y?z=1&swiftdeploy=0"])
def test_an_upgrade_and_a_route_go_to_the_slot_of_the_client_as_they_were_asked_for(
    by_cookie: SplitNginx, target: str
) -> None:
    by_cookie.route(shared("green", 50))
    clients, port = KEYS[:100], by_cookie.asked.nginx.port
    found = by_cookie.slots(clients)
    assert by_cookie.slots(clients, target=target) == found
    upgrades = [f"{client}\r\nConnection: Upgrade\r\nUpgrade: websocket" for client in clients[:10]]
    for upgrade, slot in zip(upgrades, found, strict=False):
        headers = dict(line.split(": ", 1) for line in upgrade.split("\r\n"))
        assert ask(port, target, headers=headers).body == f"slot={slot} {target}\n".encode()


def test_the_watch_knows_the_slot_of_each_request_that_has_begun(by_cookie: SplitNginx) -> None:
    log = by_cookie.counts / f"{by_cookie.route(shared('green', 20, counted=True))}.log"
    at_new = by_cookie.slots(KEYS[:100]).count("green")
    busy = KEYS[by_cookie.slots(KEYS[:100]).index("green")]
    assert set(by_cookie.slots([busy] * 100)) == {"green"}
    counter = Counter(f"127.0.0.1:{by_cookie.ports['blue']}")
    counter.follow(log, 20, "green")

    def is_read() -> bool:
        counter.read()
        return counter.new.ok + counter.old.ok == 300

    assert until(is_read, seconds=10)
    assert counter.waiting_at_new(float("inf")) == (0, 2 * at_new + 100)
    counter.close()
