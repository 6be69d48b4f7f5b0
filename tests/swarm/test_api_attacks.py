"""What is tried at the door: tokens where they do not belong, bodies that are none."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx2
import pytest

from swarm.api import bearer, door
from swarm.api.bearer import Throttle, peer_of
from swarm.core.capability.mint import Order, mint
from swarm.stores.keyfile import MemoryKeys
from tests.swarm.operating import serving
from tests.swarm.web import World, world

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(anyio_backend: str) -> AsyncGenerator[World]:
    async with world() as made:
        yield made


@dataclass(frozen=True, slots=True)
class Try:
    """One request; `status` is what it must be answered with."""

    row: str
    name: str
    status: int
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    path: str = "/v1/runs"
    method: str = "GET"
    body: bytes | None = None


async def answered(there: World, one: Try, peer: str) -> httpx2.Response:
    front = there.app.state.front
    front.throttle = Throttle(front.now)
    async with there.client(peer=peer) as client:
        return await client.request(one.method, one.path, headers=one.headers, content=one.body)


def tokens(there: World) -> list[Try]:
    """The attacks on tokens, each beside a benign twin that must get through."""
    good = there.host.tokens.mint("ada", "operator")
    bound: dict[str, Any] = {"run": there.run, "step": "$", "attempt": 1}
    worker = there.host.tokens.mint("agent:page", "worker", **bound)

    def bearing(value: str) -> list[tuple[str, str]]:
        return [("authorization", value)]

    fine = bearing(f"Bearer {good}")
    said = json.dumps({"text": "half"}).encode()
    typed = ("content-type", "application/json")
    progress: dict[str, Any] = {"path": "/v1/step/progress", "method": "POST", "body": said}
    return [
        Try("B24", "a worker's token at a desk", 401, bearing(f"Bearer {worker}")),
        Try("B24", "an operator's token for a step", 401, [*fine, typed], **progress),
        Try("B24", "twin: an operator's token at a desk", 200, fine),
        Try("B24", "twin: a worker's token for his step, which is over", 403,
            [*bearing(f"Bearer {worker}"), typed], **progress),
        Try("B49", "in the address alone", 401, [], f"/v1/runs?token={good}"),
        Try("B49", "in the address as well", 401, fine, f"/v1/runs?access_token={good}"),
        Try("B49", "in the address, percent-encoded", 401, fine,
            f"/v1/runs?before={good.replace('.', '%2e')}"),
        Try("B49", "in a cookie", 401, [("cookie", f"authorization=Bearer {good}")]),
        Try("B49", "in another header", 401, [("x-api-key", good)]),
        Try("B49", "in the body", 401, [typed], "/v1/runs", "POST",
            json.dumps({"token": good}).encode()),
        Try("B49", "twin: in its header, with a query", 200, fine, "/v1/runs?limit=1"),
        Try("B50", "two headers", 401, [*fine, *fine]),
        Try("B50", "two headers, the first one of another", 401, [*bearing("Basic eA=="), *fine]),
        Try("B50", "two in one header", 401, bearing(f"Bearer {good}, Bearer {good}")),
        Try("B50", "two tokens behind one word", 401, bearing(f"Bearer {good},{good}")),
        Try("B50", "twin: one header", 200, fine),
        Try("B51", "no scheme", 401, bearing(good)),
        Try("B51", "lower case", 401, bearing(f"bearer {good}")),
        Try("B51", "upper case", 401, bearing(f"BEARER {good}")),
        Try("B51", "a tab", 401, bearing(f"Bearer\t{good}")),
        Try("B51", "two spaces", 401, bearing(f"Bearer  {good}")),
        Try("B51", "no space", 401, bearing(f"Bearer{good}")),
        Try("B51", "a space behind it, and more", 401, bearing(f"Bearer {good} x")),
        Try("B51", "a comma behind it", 401, bearing(f"Bearer {good},")),
        Try("B51", "a parameter", 401, bearing(f'Bearer token="{good}"')),
        Try("B51", "padding", 401, bearing(f"Bearer {good}==")),
        Try("B51", "too long", 401, bearing(f"Bearer {good}{'A' * 5000}")),
        Try("B51", "nothing", 401, bearing("Bearer")),
        Try("B51", "twin: as it is written", 200, fine),
    ]  # fmt: skip


async def survived(there: World, tries: list[Try]) -> list[str]:
    """Make each try; return those that were answered in another way than they should."""
    wrong: list[str] = []
    refusals: set[bytes] = set()
    for number, one in enumerate(tries):
        answer = await answered(there, one, f"192.0.2.{number + 10}")
        if answer.status_code != one.status:
            wrong.append(f"{one.row} {one.name}: {answer.status_code}")
        elif one.status == 401:
            refusals.add(answer.content)
    if len(refusals) > 1:
        wrong.append("B54: outsiders are told different things")
    return wrong


async def test_tokens_count_in_one_place_in_one_spelling(there: World) -> None:
    assert await survived(there, tokens(there)) == []


async def test_control_a_lax_reading_of_the_header_is_found_out(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bearer, "_BEARER", re.compile(rb"(?i)bearer\s+([\w.-]+).*"))
    assert len(await survived(there, tokens(there))) >= 5


async def test_control_a_query_that_is_not_looked_at_is_found_out(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def blind(query: bytes) -> bool:
        return False

    monkeypatch.setattr(door, "tells_a_token", blind)
    assert len(await survived(there, tokens(there))) == 2


async def test_wrong_expired_revoked_and_foreign_tokens_are_told_the_same(there: World) -> None:
    """B54: status, headers and body do not say what was wrong."""
    tokens = there.host.tokens
    good = tokens.mint("ada", "operator")
    foreign = mint(MemoryKeys(lambda: 0.0).keyring(), Order("ada", "operator"), 1_800_000_000)
    gone = tokens.mint("eve", "operator")
    await tokens.revoke(subject="eve")
    expired = tokens.mint("ada", "operator", ttl_s=1)
    shown = {
        "signature": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
        "foreign": foreign,
        "revoked": gone,
        "form": "x",
        "none": "",
    }
    guard = tokens.guard
    told: set[tuple[Any, ...]] = set()
    for number, token in enumerate(shown.values()):
        one = Try("B54", "", 401, [("authorization", f"Bearer {token}")])
        told.add(essence(await answered(there, one, f"198.51.100.{number}")))
    now_s = guard.now_s()
    guard._wall = lambda: now_s + 30  # pyright: ignore[reportPrivateUsage] - time is a port
    one = Try("B54", "", 401, [("authorization", f"Bearer {expired}")])
    told.add(essence(await answered(there, one, "198.51.100.99")))
    assert len(told) == 1
    fine = Try("B54", "twin", 200, [("authorization", f"Bearer {good}")])
    assert (await answered(there, fine, "198.51.100.100")).status_code == 200


def essence(answer: httpx2.Response) -> tuple[Any, ...]:
    return answer.status_code, tuple(sorted(answer.headers.items())), answer.content


async def test_a_peer_with_many_bad_tokens_waits_and_others_do_not(there: World) -> None:
    """B55: a thousand failures from one peer; ten are judged."""
    good = there.host.tokens.mint("ada", "operator")
    front = there.app.state.front
    now = 0.0
    front.throttle = Throttle(lambda: now)
    async with there.client("bad", peer="203.0.113.5") as bad:
        statuses = [(await bad.get("/v1/runs")).status_code for _ in range(1000)]
        assert statuses[:10] == [401] * 10
        assert set(statuses[10:]) == {429}
        async with there.client(good, peer="203.0.113.6") as other:
            assert (await other.get("/v1/runs")).status_code == 200
        async with there.client(good, peer="203.0.113.5") as same:
            waiting = await same.get("/v1/runs")
            assert waiting.status_code == 429
            assert waiting.headers["retry-after"] == "1"
            now = 1.5
            assert (await same.get("/v1/runs")).status_code == 200
        assert (await bad.get("/v1/runs")).status_code == 401
        assert (await bad.get("/v1/runs")).headers["retry-after"] == "2"


def test_the_wait_doubles_up_to_a_minute_and_is_forgotten_in_time() -> None:
    now = 0.0
    throttle = Throttle(lambda: now)
    waits: list[float] = []
    for _ in range(18):
        throttle.failed("a")
        waits.append(throttle.wait_s("a"))
        now += throttle.wait_s("a")
    assert waits[:13] == [0.0] * 9 + [1.0, 2.0, 4.0, 8.0]
    assert max(waits) <= 60
    now += 120
    assert throttle.wait_s("a") == 0
    throttle.failed("a")
    assert throttle.wait_s("a") == 0


def test_peers_that_are_remembered_are_bounded_and_a_network_is_one_peer() -> None:
    throttle = Throttle(lambda: 0.0, peers=100)
    for number in range(10_000):
        throttle.failed(str(number))
    assert len(throttle._failed) == 100  # pyright: ignore[reportPrivateUsage]
    assert peer_of(("2001:db8::1", 1)) == peer_of(("2001:db8::ffff:1", 2))
    assert peer_of(("2001:db8:0:1::1", 1)) != peer_of(("2001:db8::1", 1))
    assert peer_of(("::ffff:192.0.2.1", 1)) == "192.0.2.1"
    assert peer_of(None) == "local"


BODIES: Mapping[str, tuple[int, bytes]] = {
    "G1 arrays, 129 deep": (400, b'{"blueprint":"hello","input":' + b"[" * 129 + b"]" * 129 + b"}"),
    "G2 a million deep": (400, b"[" * 1_000_000),
    "G3 one byte too large": (413, b" " * (2 * 1024 * 1024 + 1)),
    "G7 a key twice": (400, b'{"blueprint":"hello","blueprint":"asks"}'),
    "G8 a key twice, once escaped": (400, b'{"input":{"a":1,"\\u0061":2},"blueprint":"hello"}'),
    "G9 not a number": (400, b'{"blueprint":"hello","input":{"a":NaN}}'),
    "G9 infinity": (400, b'{"blueprint":"hello","input":{"a":-Infinity}}'),
    "G10 beyond all floats": (400, b'{"blueprint":"hello","input":{"a":1e400}}'),
    "G11 a million digits": (400, b'{"blueprint":"hello","input":{"a":' + b"9" * 1_000_000 + b"}}"),
    "G12 beyond 64 bit": (400, b'{"blueprint":"hello","input":{"a":9223372036854775808}}'),
    "G16 a lone surrogate": (400, b'{"blueprint":"hello","input":{"a":"\\ud800"}}'),
    "G17 no UTF-8": (400, b'{"blueprint":"hello","input":{"a":"\xff"}}'),
    "G17 a byte order mark": (400, b'\xef\xbb\xbf{"blueprint":"hello"}'),
    "G17 UTF-16": (400, '{"blueprint":"hello"}'.encode("utf-16")),
    "G19 a raw control character": (400, b'{"blueprint":"hello","input":{"a":"\x01"}}'),
    "G20 more behind it": (400, b'{"blueprint":"hello"} {}'),
    "G20 a comment": (400, b'{"blueprint":"hello" /* */}'),
    "G22 members of no model": (422, b'{"blueprint":"hello","__class__":1}'),
    "a path instead of a version": (422, b'{"blueprint":"/etc/passwd.json"}'),
    "a path upwards": (422, b'{"blueprint":"../hello.lua"}'),
    "an id with a slash": (422, b'{"blueprint":"hello","run_id":"../x"}'),
    "twin: hello": (201, b'{"blueprint":"hello","input":{"a":[1,2.5,"\\ud83d\\ude00"]}}'),
    "G13 twin: 2^53+1": (201, b'{"blueprint":"hello","input":{"a":9007199254740993}}'),
}  # fmt: skip


async def test_bodies_that_are_not_what_they_should_be_are_refused(there: World) -> None:
    wrong: list[str] = []
    async with there.as_role("operator") as client:
        for name, (status, body) in BODIES.items():
            typed = {"content-type": "application/json"}
            answer = await client.post("/v1/runs", content=body, headers=typed)
            if answer.status_code != status or len(answer.content) > 4096:
                wrong.append(f"{name}: {answer.status_code} {answer.text[:200]}")
        for media, status in (("text/plain", 415), ("", 415), ("application/json", 201),
                              ("Application/JSON; charset=utf-8", 201)):  # fmt: skip
            body = b'{"blueprint":"hello"}'
            answer = await client.post("/v1/runs", content=body, headers={"content-type": media})
            if answer.status_code != status:
                wrong.append(f"{media}: {answer.status_code}")
    assert wrong == []


async def test_a_body_that_says_it_is_small_is_measured(there: World) -> None:
    async def endless() -> AsyncGenerator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    async with there.as_role("operator") as client:
        typed = {"content-type": "application/json"}
        answer = await client.post("/v1/runs", content=endless(), headers=typed)
    assert answer.status_code == 413


async def smuggled(there: World, *both: str) -> int:
    """Send a request with another one in its body; return how many were answered."""
    token = there.host.tokens.mint("ada", "senior")
    lines = ["POST /v1/runs HTTP/1.1", "Host: x", f"Authorization: Bearer {token}"]
    lines += ["Content-Type: application/json", *both]
    second = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving(there.app) as port:
        line = await anyio.connect_tcp("127.0.0.1", port)
        await line.send("\r\n".join(lines).encode() + b"\r\n\r\n0\r\n\r\n" + second)
        told = b""
        with anyio.fail_after(30), suppress(anyio.EndOfStream):
            while True:
                told += await line.receive()
        await line.aclose()
    return told.count(b"HTTP/1.1 ")


async def test_a_body_with_two_ends_hides_no_second_request(there: World) -> None:
    """What stands in front of a server may believe the other of the two headers."""
    chunked = "Transfer-Encoding: chunked"
    assert await smuggled(there, chunked, "Content-Length: 64") == 1
    # Its twin says one thing: what follows is another request, for everybody.
    assert await smuggled(there, chunked) == 2


async def test_control_a_door_that_takes_both_lengths_is_found_out(
    there: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def looks_away(scope: Any) -> bool:
        return False

    monkeypatch.setattr(door, "_is_ambiguous", looks_away)
    with pytest.raises(AssertionError):
        await test_a_body_with_two_ends_hides_no_second_request(there)


async def test_no_token_stands_in_an_answer_or_a_log(
    there: World, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tries = tokens(there)
    told: list[str] = []
    for number, one in enumerate(tries):
        answer = await answered(there, one, f"192.0.2.{number + 10}")
        told += [answer.text, str(answer.headers)]
    tags = set(re.findall(r"\.[A-Za-z0-9_-]{43}(?![A-Za-z0-9_-])", str(tries)))
    assert len(tags) == 2
    async with there.as_role("admin") as client:
        answer = await client.post("/v1/tokens/revoke", json={"token": 1, "kid": next(iter(tags))})
        told += [answer.text, (await client.get("/metrics")).text]
    logs = [r.getMessage() for r in caplog.records if not r.name.startswith("httpx")]
    assert not [text for text in [*told, *logs] for tag in tags if tag in text]
