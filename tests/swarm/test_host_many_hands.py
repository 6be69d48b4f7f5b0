"""Many hands on one host: the same thing at once, odd ids, and stores by other names."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from swarm import Host, Refused
from swarm.host.run import Run

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


FLOW = {
    "kind": "seq",
    "children": [
        {"kind": "step", "ref": "work", "in": str(n), "out": f"$.s{n}", "id": f"n{n}"}
        for n in range(4)
    ],
}
DOCUMENT = {
    "swarm": 1,
    "id": "d",
    "agents": [{"name": "work", "kind": "function", "function": "work"}],
    "flow": FLOW,
}
DONE = {f"s{n}": n * 10 for n in range(4)}


class Hands:
    """A host on a store on a disk, and what its worker was asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.came: list[int] = []
        self.stay_at = -1

    def host(self, **settings: Any) -> Host:
        host = Host(self.folder, durability="normal", **settings)

        @host.function("work")
        async def work(n: int) -> int:  # pyright: ignore[reportUnusedFunction] - registered
            self.came.append(n)
            if n == self.stay_at:
                await anyio.sleep_forever()
            await anyio.lowlevel.checkpoint()
            return n * 10

        return host

    async def left_at(self, n: int) -> None:
        self.stay_at = n
        async with self.host() as host:
            await host.start(await host.load(DOCUMENT), run_id="mine")
            while n not in self.came:
                await anyio.lowlevel.checkpoint()
        self.stay_at = -1
        self.came.clear()


@pytest.fixture
def hands(tmp_path: Path) -> Hands:
    return Hands(tmp_path / "state")


async def test_a_hundred_starts_of_one_id_are_one_run(hands: Hands) -> None:
    async with hands.host() as host:
        blueprint = await host.load(DOCUMENT)
        runs: list[Run] = []

        async def start() -> None:
            runs.append(await host.start(blueprint, run_id="mine"))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(start)
        assert len(set(map(id, runs))) == 1
        assert await runs[0].result() == DONE
    assert hands.came == [0, 1, 2, 3]


async def test_of_starts_of_one_id_with_other_inputs_one_counts(hands: Hands) -> None:
    async with hands.host() as host:
        blueprint = await host.load(DOCUMENT)
        heard: list[str] = []

        async def start(number: int) -> None:
            try:
                await host.start(blueprint, {"number": number}, run_id="mine")
                heard.append("started")
            except Refused as error:
                heard.append(error.code)

        async with anyio.create_task_group() as tasks:
            for number in range(20):
                tasks.start_soon(start, number)
        assert Counter(heard) == {"started": 1, "run.conflict": 19}


async def test_ten_resumes_at_once_go_on_once(hands: Hands) -> None:
    await hands.left_at(2)
    async with hands.host(resume="manual") as host:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(host.resume, "mine")
        assert await (await host.run("mine")).result() == DONE
    assert hands.came == [2, 3]


@pytest.mark.parametrize("order", ["pcp", "cpp", "ppc", "cc", "pcr", "cpr"])
async def test_pausing_and_cancelling_at_once_end_in_a_state_of_the_table(
    hands: Hands, order: str
) -> None:
    async with hands.host() as host:
        run = await host.start(await host.load(DOCUMENT), run_id="mine")
        heard: set[str] = set()
        acts = {"p": run.pause, "c": run.cancel, "r": lambda: host.resume("mine")}

        async def act(letter: str) -> None:
            try:
                await acts[letter]()
            except Refused as error:
                heard.add(error.code)

        async with anyio.create_task_group() as tasks:
            for letter in order:
                tasks.start_soon(act, letter)
        assert heard <= {"run.state"}
        assert (await run.wait()).status in ("cancelled", "succeeded")
        kinds = [event["kind"] async for event in run.events()]
        assert kinds.count("step.started") == sum(
            kinds.count(f"step.{end}") for end in ("finished", "failed", "cancelled", "interrupted")
        )


async def test_a_running_run_may_be_repeated_and_goes_on_itself(hands: Hands) -> None:
    hands.stay_at = 3
    async with hands.host() as host:
        old = await host.start(await host.load(DOCUMENT), run_id="mine")
        while 3 not in hands.came:
            await anyio.lowlevel.checkpoint()
        hands.stay_at = -1
        assert await (await host.rerun("mine", from_step="n1")).result() == DONE
        assert (old.status, old.live) == ("running", True)


ODD = [
    "",
    "x" * 65,
    "x" * 1_000_000,
    "../../etc/passwd",
    "a/b",
    "é",
    "a b",
    "..",
    "-x",
    "\0",
    "x\n",
]


@pytest.mark.parametrize("run_id", [*ODD, 5, b"x", ["x"]], ids=lambda i: ascii(i)[:12])
async def test_an_odd_id_is_a_sentence(hands: Hands, run_id: Any) -> None:
    odd = cast("str", run_id)
    async with hands.host() as host:
        with pytest.raises(Refused, match="run id: expected") as refused:
            await host.start(await host.load(DOCUMENT), run_id=odd)
        assert refused.value.code == "run.id"
        for ask in (host.run, host.resume):
            with pytest.raises(Refused) as refused:
                await ask(odd)
            assert refused.value.code == "run.unknown"
            assert len(refused.value.message) < 300
        assert await host.runs() == ()


async def test_a_store_has_one_owner_by_whatever_name(tmp_path: Path, hands: Hands) -> None:
    async with hands.host():
        (tmp_path / "link").symlink_to(hands.folder)
        with pytest.raises(Refused) as refused:
            async with Host(tmp_path / "link"):
                pass
        assert refused.value.code == "store.locked"
    async with Host(tmp_path / "link"):
        pass


@pytest.mark.parametrize("what", ["dangling", "lock", "file"])
async def test_a_place_that_cannot_be_a_store_is_a_sentence(tmp_path: Path, what: str) -> None:
    place = tmp_path / "place"
    if what == "dangling":
        place.symlink_to(tmp_path / "nowhere")
    elif what == "lock":
        (place / "LOCK").mkdir(parents=True)
    else:
        place.write_text("not a folder")
    with pytest.raises(Refused) as refused:
        async with Host(place):
            pass
    assert refused.value.code == "store.unavailable"
