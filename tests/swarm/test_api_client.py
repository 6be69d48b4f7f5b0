"""The client: the same names as a host near by, over real sockets and lines that break."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx2
import pytest
import uvicorn
from anyio.abc import SocketAttribute, SocketStream

import swarm
from swarm.api.remote import RemoteHost, RemoteRun
from swarm.errors import BlueprintInvalid, Denied, Refused, RunFailed, SwarmError
from swarm.host.host import Host
from swarm.operators.wire import options
from swarm.workers.context import StepContext
from tests.swarm.operating import until
from tests.swarm.web import ALL_VERBS, HELLO, World, world

pytestmark = pytest.mark.anyio

NONE = "none"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def there(anyio_backend: str) -> AsyncGenerator[World]:
    async with world(roles=ALL_VERBS) as made:
        yield made


def remote(there: World, role: str = "admin", **order: Any) -> RemoteHost:
    token = there.host.tokens.mint("ada", role, **order)
    return swarm.connect("http://host", token=token, transport=httpx2.ASGITransport(app=there.app))


async def test_a_run_is_started_watched_and_steered_from_afar(there: World) -> None:
    async with remote(there, depth=2) as host:
        run = await host.start("hello", {"n": 1})
        assert (await run.result())["n"] == 1
        assert [event["kind"] async for event in run.events()][-1] == "run.finished"
        assert [o.name for o in await run.outputs()] == ["note", None]
        assert await run.output("note") == b'{"of":"hello"}'
        assert (await host.runs("succeeded", limit=1))[0].id == run.id
        asking = await host.run(there.asking)
        (question,) = await asking.questions()
        await asking.answer(question.id, None)
        assert (await asking.wait()).status == "succeeded"
        again = await host.rerun(run.id, from_step="$")
        assert await again.status() == "succeeded"
        narrow = await host.delegate(["run.read"], run=run.id)
        assert narrow.startswith("v1.")
        assert (await host.prove(run.id))["v"] == 1
        assert (await host.show()).journal == "ok"


async def test_pause_resume_cancel_from_afar(there: World) -> None:
    async with remote(there) as host:
        run = await host.run(there.asking)
        await run.pause()
        assert (await run.wait()).status == "paused"
        run = await host.resume(there.asking)
        await run.cancel("enough")
        with pytest.raises(RunFailed, match="enough"):
            await run.result()


async def test_versions_from_afar(there: World) -> None:
    async with remote(there) as host:
        kept = host.blueprints
        changed = {**HELLO, "description": "the third"}
        made = await kept.register(changed, bump="minor")
        assert made.entry.label == "1.1.0"
        assert (await kept.register(changed)).is_new is False
        assert [entry.label for entry in await kept.log("hello", limit=2)] == ["1.1.0", "1.0.1"]
        await kept.tag("hello@1.0.0", "prod")
        assert (await kept.tags("hello"))["prod"].label == "1.0.0"
        await kept.untag("hello", "prod")
        assert (await kept.diff("hello", "1.0.0")).document != []
        assert (await kept.rollback("hello@1.0.0")).entry.back_to == "1.0.0"
        assert (await kept.read("hello@1.1.0")).document["description"] == "the third"
        assert [entry.blueprint for entry in await kept.list()] == ["asks", "hello"]


async def test_errors_are_those_of_a_host_near_by(there: World) -> None:
    async with remote(there) as host:
        with pytest.raises(Refused) as refused:
            await host.run("nobody")
        assert refused.value.code == "run.unknown"
        with pytest.raises(BlueprintInvalid) as invalid:
            await host.blueprints.register({**HELLO, "agents": []})
        assert {p.code for p in invalid.value.problems} == {"agent.unknown"}
        await host.revoke(subject="ada")
        with pytest.raises(Denied) as denied:
            await host.runs()
        assert denied.value.code == "capability.unauthenticated"
    async with swarm.connect("http://127.0.0.1:1", token=NONE) as nobody:
        with pytest.raises(SwarmError) as gone:
            await nobody.runs()
        assert gone.value.code == "http.unreachable"


async def test_without_httpx2_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "swarm.api.remote", raising=False)
    with pytest.raises(Refused, match=r"lua-swarm\[client\]"):
        swarm.connect("http://host", token=NONE)


# -- lines that break ---------------------------------------------------------------------


@asynccontextmanager
async def serving(there: World) -> AsyncGenerator[int]:
    settings: dict[str, Any] = {**options(), "log_config": None, "log_level": "critical"}
    server = uvicorn.Server(uvicorn.Config(there.app, port=0, lifespan="off", **settings))
    async with anyio.create_task_group() as tasks:
        # `serve` would install signal handlers, which are the test runner's.
        tasks.start_soon(server._serve)  # pyright: ignore[reportPrivateUsage]
        await until(lambda: server.started)
        try:
            yield server.servers[0].sockets[0].getsockname()[1]
        finally:
            server.should_exit = True
            server.force_exit = True


class Cutter:
    """A way to a port that hands on so many bytes of an answer, and then breaks."""

    def __init__(self, port: int, most: int) -> None:
        self.port = port
        self.most = most
        self.cuts = 0

    async def __call__(self, near: SocketStream) -> None:
        async with (
            near,
            await anyio.connect_tcp("127.0.0.1", self.port) as far,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(self._out, near, far)
            left = self.most
            async for data in far:
                await near.send(data[:left])
                left -= len(data)
                if left <= 0:
                    self.cuts += 1
                    break
            tasks.cancel_scope.cancel()

    async def _out(self, near: SocketStream, far: SocketStream) -> None:
        async for data in near:
            await far.send(data)


@asynccontextmanager
async def cut(port: int, most: int) -> AsyncGenerator[tuple[str, Cutter]]:
    cutter = Cutter(port, most)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, cutter)
        _, at = listener.extra(SocketAttribute.local_address)  # noqa: S610 - of anyio
        yield f"http://127.0.0.1:{at}", cutter
        tasks.cancel_scope.cancel()


def chatty(host: Host, go_on: anyio.Event) -> dict[str, Any]:
    @host.function("chatty")
    async def talk(input: Any, context: StepContext) -> None:
        for number in range(150):
            await context.progress(f"{number} " + "x" * 60)
            if number == 75:
                await go_on.wait()

    agent = {"name": "chatty", "kind": "function", "function": "chatty"}
    step = {"kind": "step", "ref": "chatty", "in": "1", "out": "ctx.a"}
    return {"swarm": 1, "id": "chatty", "agents": [agent], "flow": step}


async def test_a_stream_that_breaks_goes_on_without_a_gap_and_without_anything_twice(
    there: World,
) -> None:
    go_on = anyio.Event()
    document = chatty(there.host, go_on)
    token = there.host.tokens.mint("ada", "admin")
    async with serving(there) as port, cut(port, 4000) as (url, cutter):
        async with swarm.connect(url, token=token) as host:
            run = await host.start(document)
            seen: list[int] = []
            with anyio.fail_after(60):
                async for event in run.events():
                    seen.append(event["seq"])
                    if len(seen) == 40:
                        go_on.set()
            assert seen == list(range(1, len(seen) + 1))
            assert (await run.result())["a"] is None
        near = await there.host.run(run.id)
        assert [event["seq"] async for event in near.events()] == seen
    assert cutter.cuts >= 5
    print(f"{len(seen)} events over {cutter.cuts} cuts, none lost, none twice")  # noqa: T201


async def test_server_sent_events_go_on_behind_the_last_id(there: World) -> None:
    """As a browser does: the id of the last event that was whole goes into a header."""
    go_on = anyio.Event()
    go_on.set()
    run = await there.host.start(await there.host.load(chatty(there.host, go_on)))
    token = there.host.tokens.mint("ada", "observer")
    seen: list[int] = []
    async with serving(there) as port, cut(port, 5000) as (url, cutter):
        headers = {"authorization": f"Bearer {token}"}
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=30) as client:
            while True:
                last = {"last-event-id": str(seen[-1])} if seen else {}
                got = ""
                try:
                    path = f"/v1/runs/{run.id}/events"
                    async with client.stream("GET", path, headers=last) as answer:
                        if answer.status_code == 204:
                            break
                        async for text in answer.aiter_text():
                            got += text
                except httpx2.TransportError:
                    pass
                whole = got.rpartition("\n\n")[0].split("\n\n")
                ids = [line[4:] for one in whole for line in one.split("\n") if line[:3] == "id:"]
                seen += map(int, ids)
    assert seen == list(range(1, len(seen) + 1))
    assert len(seen) > 150
    assert cutter.cuts >= 5


async def test_a_token_that_is_revoked_ends_what_it_opened(there: World) -> None:
    go_on = anyio.Event()
    document = chatty(there.host, go_on)
    run = await there.host.start(await there.host.load(document))
    token = there.host.tokens.mint("eve", "observer")

    async def watch(watched: RemoteRun) -> None:
        async for event in watched.events():
            if event["kind"] == "step.started":
                await there.host.tokens.revoke(subject="eve")
                go_on.set()

    async with (
        serving(there) as port,
        swarm.connect(f"http://127.0.0.1:{port}", token=token) as host,
    ):
        watched = await host.run(run.id)
        with anyio.fail_after(60), pytest.raises(Denied):
            await watch(watched)
    await run.wait()
