"""What `host.asgi(bounds=…)` sets, and what comes of it: one test for each."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, fields
from typing import Any

import anyio
import httpx2
import pytest

from swarm.api.door import Bounds
from tests.swarm.operating import serving
from tests.swarm.web import ASKS, HELLO, web

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@asynccontextmanager
async def bounded(**bounds: Any) -> AsyncGenerator[httpx2.AsyncClient]:
    async with web() as host:
        await host.blueprints.register(HELLO, author="ada")
        app = host.asgi(bounds=Bounds(**bounds))
        token = host.tokens.mint("ada", "senior")
        transport = httpx2.ASGITransport(app=app, client=("192.0.2.1", 4000))
        headers = {"authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(
            transport=transport, base_url="http://swarm", headers=headers
        ) as client:
            yield client


def test_each_of_them_is_tested_here() -> None:
    tested = {"body_bytes", "body_s", "failures", "peers", "answers", "beat_s"}
    assert {field.name for field in fields(Bounds)} == tested


def test_who_says_nothing_has_these_bounds() -> None:
    assert asdict(Bounds()) == {
        "body_bytes": 2_097_152, "failures": 10, "peers": 10_000, "answers": 1_000,
        "body_s": 30.0, "beat_s": 15.0,
    }  # fmt: skip


async def test_a_body_is_as_large_as_it_may_be_and_no_larger() -> None:
    order: dict[str, Any] = {"blueprint": "hello", "input": ""}
    order["input"] = "x" * (1000 - len(json.dumps(order)))
    async with bounded(body_bytes=1000) as client:
        for more, status in ((0, 201), (1, 413)):
            body = json.dumps({**order, "input": order["input"] + "x" * more}).encode()
            assert len(body) == 1000 + more
            media = {"content-type": "application/json"}
            told = await client.post("/v1/runs", content=body, headers=media)
            assert told.status_code == status, told.text


async def test_a_body_is_waited_for_so_long_and_no_longer() -> None:
    body = b'{"blueprint": "hello"}'
    head = "POST /v1/runs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for body_s, sent, status in ((0.2, body[:5], b"408"), (60, body, b"201")):
        async with web() as host, serving(host.asgi(bounds=Bounds(body_s=body_s))) as port:
            await host.blueprints.register(HELLO, author="ada")
            more = f"Authorization: Bearer {host.tokens.mint('ada', 'senior')}\r\n"
            more += f"Content-Length: {len(body)}\r\n\r\n"
            line = await anyio.connect_tcp("127.0.0.1", port)
            await line.send((head + more).encode() + sent)
            told = b""
            with anyio.fail_after(30), suppress(anyio.EndOfStream):
                while status == b"408" or not told:
                    told += await line.receive()
            assert told.split()[1] == status, told
            # Whoever drips is not heard further: the connection has ended.
            assert (b"connection: close" in told.lower()) is (status == b"408")
            await line.aclose()


async def test_so_many_bad_tokens_are_judged_and_no_more() -> None:
    bad = {"authorization": "Bearer nonsense"}
    for failures in (2, 4):
        async with bounded(failures=failures) as client:
            told = [
                (await client.get("/v1/runs", headers=bad)).status_code for _ in range(failures + 1)
            ]
            assert told == [401] * failures + [429]


async def test_so_many_peers_are_remembered() -> None:
    """Who was seen longest ago is let go of, and begins anew."""
    for peers, status in ((10, 429), (1, 401)):
        async with web() as host:
            app = host.asgi(bounds=Bounds(failures=1, peers=peers))

            async def knock(peer: str, app: Any = app) -> int:
                transport = httpx2.ASGITransport(app=app, client=(peer, 4000))
                async with httpx2.AsyncClient(transport=transport, base_url="http://x") as client:
                    return (await client.get("/v1/runs")).status_code

            assert await knock("192.0.2.1") == 401
            assert await knock("192.0.2.2") == 401
            assert await knock("192.0.2.1") == status


async def test_so_many_answers_are_remembered() -> None:
    """A key that is forgotten may be used for something else; one that is not, may not."""
    for answers, status in ((10, 409), (1, 201)):
        async with bounded(answers=answers) as client:
            for key, ttl_s, expected in (("a", 60, 201), ("b", 60, 201), ("a", 61, status)):
                path, used = "/v1/blueprints", {"idempotency-key": key}
                made = {"document": {**HELLO, "id": f"new{ttl_s}{key}"}}
                told = await client.post(path, json=made, headers=used)
                assert told.status_code == expected, (answers, key, told.text)


@pytest.mark.parametrize("form", ["sse", "lines"])
async def test_a_silent_stream_gives_signs_of_life_and_loses_no_event(form: str) -> None:
    beat, lines = ": still here", list[str]()
    async with web() as host, serving(host.asgi(bounds=Bounds(beat_s=0.02))) as port:
        run = await host.start(await host.load(ASKS))
        token = host.tokens.mint("ada", "senior")
        headers, params = {"authorization": f"Bearer {token}"}, {"form": form}
        at = f"http://127.0.0.1:{port}/v1/runs/{run.id}/events"
        with anyio.fail_after(60):
            async with (
                httpx2.AsyncClient(headers=headers, trust_env=False) as client,
                client.stream("GET", at, params=params) as stream,
            ):
                async for line in stream.aiter_lines():
                    lines.append(line)
                    third = line == beat and lines.count(beat) == 3
                    if third or (form == "lines" and "run.waiting" in line):
                        (question,) = await run.questions()
                        await anyio.sleep(0.1)  # of silence, so that there are beats in between
                        await run.answer(question.id, 1)
    told = "\n".join(lines)
    # JSON lines have no word for it: what is read there is one event a line.
    assert (beat in lines) is (form == "sse")
    kinds = [event["kind"] async for event in run.events()]
    assert [told.count(f'"kind":"{kind}"') for kind in kinds] == [1] * len(kinds)
    if form == "lines":
        assert [json.loads(line)["kind"] for line in lines] == kinds


async def test_a_stream_that_beats_rarely_is_silent() -> None:
    async with web() as host, serving(host.asgi(bounds=Bounds(beat_s=600))) as port:
        run = await host.start(await host.load(ASKS))
        headers = {"authorization": f"Bearer {host.tokens.mint('ada', 'senior')}"}
        at = f"http://127.0.0.1:{port}/v1/runs/{run.id}/events"
        async with (
            httpx2.AsyncClient(headers=headers, trust_env=False) as client,
            client.stream("GET", at) as stream,
        ):
            with anyio.move_on_after(0.3):
                async for line in stream.aiter_lines():
                    assert not line.startswith(": ")
        await run.cancel()
