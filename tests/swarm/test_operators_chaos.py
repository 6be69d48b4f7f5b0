"""Every step is finished exactly once, over lines that lose, delay, double, shuffle and break.

The same suite runs over the client of this package and over one in JavaScript that was
written from the page of the protocol alone (marker `interop`: needs Node and npm's `ws`).
SWARM_CHAOS_CUTS says how many messages are to be maltreated: 120 here, 1,000 in a campaign.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import anyio
import pytest

from swarm.operators import Bounds, Operators, Task
from swarm.operators.channel import Channel
from swarm.operators.desk import Desk
from tests.swarm.chaos_proxy import Chaos, proxied
from tests.swarm.operating import House, free_port, house, until

pytestmark = pytest.mark.anyio

CUTS = int(os.environ.get("SWARM_CHAOS_CUTS", "120"))
SEED = int(os.environ.get("SWARM_CHAOS_SEED", "1"))
# Tokens that a cut line does not use up, and lines that are looked after often.
BOUNDS = Bounds(
    per_address=1000, failures=10_000, rate=1_000_000, burst=1_000_000, redeliver_s=0.15,
    tick_s=0.03, hello_s=2,
)  # fmt: skip
OPERATOR = Path(__file__).parents[1] / "interop/operator.mjs"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@cache
def node_modules() -> Path | None:
    """Return where npm's `ws` is, fetched once for the session; None where it cannot be had."""
    given = os.environ.get("SWARM_NODE_MODULES")
    if given:
        return Path(given)
    if shutil.which("node") is None or shutil.which("npm") is None:
        return None
    folder = Path(tempfile.gettempdir()) / f"swarm-interop-{os.getuid()}"
    if not (folder / "node_modules/ws").is_dir():
        folder.mkdir(exist_ok=True)
        wanted = ["npm", "install", "--silent", "--no-audit", "--no-fund", "ws@8"]
        done = subprocess.run(wanted, cwd=folder, check=False, timeout=120, capture_output=True)  # noqa: S603 - a fixed command
        if done.returncode != 0:
            return None
    return folder / "node_modules"


Client: TypeAlias = Callable[[House, str, str], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def in_python(one: House, url: str, name: str) -> AsyncGenerator[None]:
    operator = one.operator(name, url, capacity=4)

    @operator.handler
    async def work(task: Task) -> Any:
        given = task.input
        if given == "wait":
            await anyio.sleep_forever()
        await task.progress(f"at {given}")
        await task.part("note", given)
        if given == "fail":
            raise ValueError("as asked")
        return {"did": given, "by": name}

    async with operator.running():
        yield


@asynccontextmanager
async def in_node(one: House, url: str, name: str) -> AsyncGenerator[None]:
    modules = node_modules()
    if modules is None:
        pytest.skip("no Node, or no package ws")
    environment = {
        **os.environ, "URL": url, "NAME": name, "TOKEN": one.token(name),
        "WS": str(modules / "ws/wrapper.mjs"),
    }  # fmt: skip
    async with await anyio.open_process(
        ["node", str(OPERATOR)], env=environment, stdout=None, stderr=None
    ) as process:
        try:
            yield
        finally:
            process.kill()


CLIENTS = [
    pytest.param(in_python, id="python"),
    pytest.param(in_node, id="node", marks=pytest.mark.interop),
]


async def maltreated(one: House, client: Client, chaos: Chaos, most: int) -> dict[str, Any]:
    """Run steps over bad lines until enough was done to them; return what came out."""
    outs: dict[str, Any] = {}
    blueprint = await one.load()

    async def run(n: int) -> None:
        run = await one.host.start(blueprint, {"given": n})
        outs[str(n)] = (await run.result())["out"]
        kinds = Counter([e["kind"] async for e in run.events()])
        assert kinds["step.finished"] == 1
        assert kinds["step.started"] == 1

    started = 0
    async with proxied(one.url, chaos) as url, client(one, url, "ada"), client(one, url, "bob"):
        await until(lambda: len(one.operators.sessions) == 2)
        async with anyio.create_task_group() as tasks:  # within: who does them stays to the end
            while sum(chaos.done.values()) < most:
                while started - len(outs) < 8:
                    tasks.start_soon(run, started)
                    started += 1
                await anyio.sleep(0.005)
            chaos.quiet = True
    assert len(outs) == started
    return outs


@pytest.mark.parametrize("client", CLIENTS)
async def test_every_step_is_finished_exactly_once(client: Client) -> None:
    chaos = Chaos(SEED)
    async with house(bounds=BOUNDS) as one:
        with anyio.fail_after(60 + CUTS):
            outs = await maltreated(one, client, chaos, CUTS)
        assert all(out["did"] == int(n) for n, out in outs.items())
        assert not one.operators.desk.cases
        again = sum(s.channel.duplicates for s in one.operators.sessions.values())
    acts = ", ".join(f"{act} {n}" for act, n in sorted(chaos.done.items()))
    sys.stderr.write(f"chaos: {len(outs)} steps once each; {acts}; {again} again; seed={SEED}\n")
    assert set(chaos.done) == {"cut", "delay", "double", "shuffle", "lose"}


@pytest.mark.parametrize("client", CLIENTS)
async def test_an_operator_does_what_the_protocol_asks(client: Client) -> None:
    """Steps, failures, reports, cancellation and a host that begins anew, on a good line."""
    async with house(bounds=BOUNDS) as one, client(one, one.url, "ada"):
        await until(lambda: len(one.operators.sessions) == 1)
        run = await one.host.start(await one.load(), {"given": 7})
        assert (await run.result())["out"] == {"did": 7, "by": "ada"}
        kinds = [e["kind"] async for e in run.events()]
        assert "step.progress" in kinds
        assert "step.part" in kinds
        failed = await (await one.host.start(await one.load(), {"given": "fail"})).wait()
        assert failed.status == "failed"
        held = await one.host.start(await one.load(), {"given": "wait"})
        await until(lambda: any(m.orders for m in one.operators.desk.members.values()))
        await held.cancel("enough")
        await held.wait()
        assert await one.ask(8) == {"did": 8, "by": "ada"}


@pytest.mark.parametrize("client", CLIENTS)
async def test_over_hosts_that_begin_anew_every_step_is_finished_once(
    client: Client, tmp_path: Path
) -> None:
    """Four hosts over one store, three of them ended in the middle of what their operators do."""
    many, port = 12, free_port()
    async with house(tmp_path, port=port, bounds=BOUNDS) as one:
        away = _Away(one)
        for n in range(many):
            await one.host.start(await one.load(), {"given": n}, run_id=f"run{n}")
    async with client(away, away.url, "ada"):
        for least in (0, 3, 7, many):
            async with house(tmp_path, port=port, bounds=BOUNDS) as one:
                runs = [await one.host.run(f"run{n}") for n in range(many)]
                await until(lambda at=runs, most=least: _succeeded(at) >= most, 30)
                if least == many:
                    for n, run in enumerate(runs):
                        assert (await run.result())["out"] == {"did": n, "by": "ada"}
                        kinds = Counter([e["kind"] async for e in run.events()])
                        assert kinds["step.finished"] == 1


class _Away(House):
    """A host that is not there now: its address, and a token of it."""

    def __init__(self, one: House) -> None:
        super().__init__(one.host, one.operators, one.endpoint, one.port)
        self._kept = one.token("ada")

    def token(self, subject: str = "ada", role: str = "operator", **order: Any) -> str:
        return self._kept


def _succeeded(runs: list[Any]) -> int:
    return sum(run.status == "succeeded" for run in runs)


async def test_lines_whose_losses_nobody_mends_would_be_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without saying again what was not acknowledged, what is lost is lost."""
    monkeypatch.setattr(Channel, "again", _forgets)
    monkeypatch.setattr(Channel, "attach", _begins_anew)
    async with house(bounds=BOUNDS, operators=Operators(BOUNDS)) as one:
        with anyio.move_on_after(2.5):
            await maltreated(one, in_python, Chaos(SEED), 60)
            pytest.fail("nothing was lost")
        assert isinstance(one.operators.desk, Desk)
        assert one.operators.desk.cases


def _forgets(self: Channel, now_s: float) -> list[str]:
    return []


def _begins_anew(self: Channel, epoch: int, last: int, now_s: float) -> list[str]:
    self.epoch = epoch
    return []
