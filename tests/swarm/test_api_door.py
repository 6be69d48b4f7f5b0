"""The way in, by itself: what reaches the application, and what is answered before that."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import anyio
import pytest

from swarm.api.door import Bounds, Door, Front
from swarm.core.capability.grant import Grant
from swarm.core.capability.keys import Keyring
from swarm.core.capability.mint import Order, mint
from swarm.errors import Denied, SwarmError

pytestmark = pytest.mark.anyio

TOKEN = mint(Keyring.fresh(0), Order("ada", "operator"), 0)
ADA = Grant("ada", "operator")
JSON = (b"content-type", b"application/json")
KEY = (b"idempotency-key", b"k1")
ALWAYS = [(b"cache-control", b"no-store"), (b"x-content-type-options", b"nosniff")]


class House:
    """A door before an application that notes what reaches it, and answers as it is told."""

    def __init__(self, **bounds: Any) -> None:
        self.now = 0.0
        self.reached: list[dict[str, Any]] = []
        self.status, self.answer = 200, b"fine"
        self.busy: anyio.Event | None = None
        self.fails: Exception | None = None
        served = SimpleNamespace(guest=self._guest)
        self.front = Front(cast("Any", served), Bounds(**bounds), lambda: self.now)
        self.door = Door(self._app, self.front)

    def _guest(self, token: str) -> Any:
        async def admitted() -> Grant:
            if token == "later":  # noqa: S105
                raise SwarmError("journal.unwritable", "expected a journal that can be written")
            if token != TOKEN:
                raise Denied("capability.unauthenticated", "expected a token that holds, got none")
            return ADA

        return SimpleNamespace(admitted=admitted, token=token)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        heard = [await receive()] if scope["type"] == "http" else []
        if scope.get("wants_more"):
            heard.append(await receive())
        self.reached.append({**scope, "heard": heard})
        if self.busy is not None:
            await self.busy.wait()
        if self.fails is not None:
            raise self.fails
        await send(
            {"type": "http.response.start", "status": self.status, "headers": [(b"a", b"b")]}
        )
        await send({"type": "http.response.body", "body": self.answer, "more_body": True})
        await send({"type": "http.response.body", "body": b"!"})

    async def ask(
        self,
        *pieces: bytes | None,
        path: str = "/v1/runs",
        method: str = "POST",
        headers: tuple[tuple[bytes, bytes], ...] = (),
        token: str | None = TOKEN,
        more: bool = False,
        **scope: Any,
    ) -> tuple[int, dict[bytes, bytes], Any]:
        """Send a request in pieces, None for who goes; return status, headers and what is said."""
        shown = () if token is None else ((b"authorization", f"Bearer {token}".encode()),)
        whole = {"type": "http", "path": path, "method": method, "client": ("10.0.0.1", 1), **scope}
        whole["headers"] = [*shown, *headers]
        left = list(pieces) or [b""]
        sent: list[Any] = []

        async def receive() -> Any:
            if not left:
                if more:
                    return {"type": "http.disconnect"}
                await anyio.sleep_forever()
            piece = left.pop(0)
            if piece is None:
                return {"type": "http.disconnect"}
            return {"type": "http.request", "body": piece, "more_body": bool(left)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.door(whole, receive, send)
        if not sent:
            return 0, {}, None
        body = b"".join(message.get("body", b"") for message in sent[1:])
        given = dict(sent[0].get("headers", ()))
        assert [given.get(name) for name, _ in ALWAYS] == [value for _, value in ALWAYS]
        said = json.loads(body)["code"] if body[:1] == b"{" else body
        return sent[0]["status"], given, said


async def test_what_is_no_request_goes_by() -> None:
    house = House()
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await house.door({"type": "websocket"}, cast("Any", None), send)
    assert [one["type"] for one in house.reached] == ["websocket"]
    assert sent[0]["headers"] == [(b"a", b"b")]


async def test_who_shows_a_token_that_holds_comes_in() -> None:
    house = House()
    status, headers, said = await house.ask(b"")
    assert (status, headers[b"a"], said) == (200, b"b", b"fine!")
    (reached,) = house.reached
    assert reached["state"]["grant"] is ADA
    assert reached["state"]["visitor"].token == TOKEN
    assert "key" not in reached["state"]
    assert reached["heard"] == [{"type": "http.request", "body": b"", "more_body": False}]


async def test_every_request_is_counted_by_how_it_was_answered() -> None:
    house = House()
    house.status = 201
    await house.ask()
    await house.ask(token=None)
    await house.ask(b'"', None)
    counted = house.front.metrics.registry.get_sample_value
    for status, many in (("201", 1.0), ("401", 1.0), ("0", 1.0), ("200", None)):
        labels = {"method": "POST", "route": "none", "status": status}
        assert counted("swarm_http_requests_total", labels) == many


@pytest.mark.parametrize("path", ["/health", "/ready", "/openapi.json"])
async def test_some_is_open_to_all_even_while_the_host_closes(path: str) -> None:
    house = House()
    house.front.draining = True
    assert (await house.ask(path=path, token=None))[0] == 200
    assert (await house.ask(path=f"/api{path}", token=None, root_path="/api"))[0] == 200
    assert (await house.ask(path=f"/api{path}", token=None))[2] == "http.draining"
    assert (await house.ask(path=f"/api{path}", token=None, root_path="/ap"))[2] == "http.draining"
    assert (await house.ask(path="/v1/runs"))[::2] == (503, "http.draining")
    assert len(house.reached) == 2


async def test_a_body_with_two_ends_is_none() -> None:
    house = House()
    chunked, length = (b"Transfer-Encoding", b"chunked"), (b"Content-Length", b"2")
    status, headers, said = await house.ask(b"{}", headers=(chunked, length, JSON))
    assert (status, said, headers[b"connection"]) == (400, "http.malformed", b"close")
    for one in (chunked, length):
        assert (await house.ask(b"{}", headers=(one, JSON)))[0] == 200


async def test_a_token_is_in_its_header_and_nowhere_else() -> None:
    house = House()
    assert (await house.ask(token=None))[::2] == (401, "capability.unauthenticated")
    told = await house.ask(query_string=f"x={TOKEN}".encode())
    assert told[::2] == (401, "capability.unauthenticated")
    assert (await house.ask(query_string=b"x=1"))[0] == 200
    assert (await house.ask(token="later"))[2] == "journal.unwritable"  # noqa: S106
    assert len(house.reached) == 1


async def test_who_fails_too_often_waits_and_others_do_not() -> None:
    house = House(failures=2)
    for _ in range(2):
        assert (await house.ask(token="x"))[0] == 401  # noqa: S106
    # What went wrong here is nobody's failure.
    status, headers, said = await house.ask()
    assert (status, said, headers[b"retry-after"]) == (429, "http.throttled", b"1")
    assert (await house.ask(client=("10.0.0.2", 1)))[0] == 200
    house.now += 0.75
    assert (await house.ask())[1][b"retry-after"] == b"1"
    house.now += 0.25
    assert (await house.ask())[0] == 200
    assert (await house.ask(token="x"))[0] == 401  # noqa: S106
    assert (await house.ask())[1][b"retry-after"] == b"2"
    metrics = house.front.metrics
    assert metrics.refused._value.get() == 3  # pyright: ignore[reportPrivateUsage]
    assert metrics.throttled._value.get() == 3  # pyright: ignore[reportPrivateUsage]
    calm = House(failures=1)
    await calm.ask(token="later")  # noqa: S106
    assert (await calm.ask())[0] == 200


# -- bodies --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pieces", "headers", "code"),
    [
        ((b'{"a":', b" 1}"), (JSON,), None),
        ((b'"' + b"x" * 8 + b'"',), (JSON,), None),
        ((b'"' + b"x" * 9 + b'"',), (JSON,), "http.too_large"),
        ((b'"' + b"x" * 5, b"x" * 4 + b'"'), (JSON,), "http.too_large"),
        ((b"{}",), (JSON, (b"content-length", b"10")), None),
        ((b"{}",), (JSON, (b"content-length", b"11")), "http.too_large"),
        ((b"{}",), (JSON, (b"content-length", b"1" * 30)), "http.too_large"),
        ((b"{}",), (JSON, (b"content-length", b"-1")), "http.too_large"),
        ((b"{}",), (JSON, (b"content-length", b"")), None),
        ((b"{}",), ((b"Content-Type", b" Application/JSON; charset=utf-8"),), None),
        ((b"{}",), ((b"content-type", b"text/plain"),), "http.media"),
        ((b"{}",), (), "http.media"),
        ((b"{",), (JSON,), "malformed"),
        ((b"",), (), None),
    ],
)
async def test_a_body_is_json_of_a_size(
    pieces: tuple[bytes, ...], headers: Any, code: str | None
) -> None:
    house = House(body_bytes=10)
    status, _, said = await house.ask(*pieces, headers=headers, wants_more=True, more=True)
    if code is not None:
        assert said == code
        assert house.reached == []
        return
    assert status == 200
    whole = {"type": "http.request", "body": b"".join(pieces), "more_body": False}
    # Behind the body comes what the server has to say.
    assert house.reached[0]["heard"] == [whole, {"type": "http.disconnect"}]


async def test_who_goes_before_his_body_is_there_is_answered_nothing() -> None:
    house = House()
    assert await house.ask(b'{"a":', None) == (0, {}, None)
    assert house.reached == []


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    house = House(body_s=0.0)
    ends: list[Any] = []

    async def never() -> Any:
        await anyio.sleep_forever()

    async def send(message: Any) -> None:
        ends.append(message)

    token = (b"authorization", f"Bearer {TOKEN}".encode())
    scope = {"type": "http", "path": "/v1/runs", "method": "POST", "headers": [token]}
    with anyio.fail_after(30):
        await house.door(scope, never, send)
    said = json.loads(ends[1]["body"])
    assert (ends[0]["status"], said["code"]) == (408, "http.slow")
    assert said["detail"] == "body: expected all of it within 0 s, got less"
    assert (b"connection", b"close") in ends[0]["headers"]


# -- again ---------------------------------------------------------------------------------


async def test_a_write_that_is_sent_again_is_answered_again_and_not_done_again() -> None:
    house = House()
    first = await house.ask(b"{}", headers=(JSON, KEY))
    house.answer, house.status = b"other", 201
    assert await house.ask(b"{}", headers=(JSON, KEY)) == first
    assert len(house.reached) == 1
    assert house.reached[0]["state"]["key"] == "k1"
    # Another body, path, query or method is another request.
    others: list[dict[str, Any]]
    others = [{"path": "/v1/x"}, {"query_string": b"a=1"}, {"method": "PUT"}]
    for more in others:
        told = await house.ask(b"{}", headers=(JSON, KEY), **more)
        assert told[::2] == (409, "http.idempotency")
    assert (await house.ask(b"[]", headers=(JSON, KEY)))[2] == "http.idempotency"
    # Another key is another write; what only reads is not remembered.
    assert (await house.ask(b"{}", headers=(JSON, (KEY[0], b"k2"))))[0] == 201
    for _ in range(2):
        assert (await house.ask(headers=(KEY,), method="GET"))[0] == 201
    assert len(house.reached) == 4
    assert (await house.ask(headers=((KEY[0], b"a b"),)))[::2] == (400, "http.malformed")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_every_write_is_remembered(method: str) -> None:
    house = House()
    for _ in range(2):
        await house.ask(headers=(KEY,), method=method)
    assert len(house.reached) == 1


@pytest.mark.parametrize(
    ("status", "size", "again"),
    [(200, 65_535, 1), (200, 65_536, 2), (399, 1, 1), (400, 1, 2), (503, 1, 2)],
)
async def test_what_failed_or_is_too_large_is_done_again(
    status: int, size: int, again: int
) -> None:
    house = House()
    house.status, house.answer = status, b"x" * size
    for _ in range(2):
        told = await house.ask(headers=(KEY,))
        assert (told[0], len(told[2])) == (status, size + 1)
    assert len(house.reached) == again


@pytest.mark.parametrize("ends_well", [True, False])
async def test_who_comes_meanwhile_waits_for_the_first_and_hears_the_same(ends_well: bool) -> None:
    house, told = House(), list[Any]()
    house.busy = anyio.Event()
    house.status = 200 if ends_well else 500

    async def ask() -> None:
        told.append((await house.ask(headers=(KEY,)))[::2])

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await anyio.wait_all_tasks_blocked()
            assert (len(house.reached), told) == (1, [])
            house.busy.set()
    same, again = (200, b"fine!"), (409, "http.again")
    expected = [same] * 3 if ends_well else [(500, b"fine!"), again, again]
    assert sorted(told, key=str) == sorted(cast("list[Any]", expected), key=str)
    assert len(house.reached) == 1


async def test_what_the_application_could_not_answer_is_forgotten() -> None:
    house = House()
    house.fails = ValueError("odd")
    with pytest.raises(ValueError, match="odd"):
        await house.ask(headers=(KEY,))
    house.fails = None
    assert (await house.ask(headers=(KEY,)))[0] == 200
    assert len(house.reached) == 2


def test_a_front_has_what_its_bounds_say() -> None:
    front = Front(cast("Any", None))
    assert (front.draining, front.bounds) == (False, Bounds())
    assert front.memory.largest == 64 * 1024
    for _ in range(10):
        assert front.throttle.wait_s("eve") == 0.0
        front.throttle.failed("eve")
    assert front.throttle.wait_s("eve") > 0.0
