"""What a host does by the clock: checkpoints at the latest, and a new key each day."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.errors import Refused, SwarmError
from swarm.host.host import Host
from swarm.host.parts import Parts
from swarm.stores import keyfile
from swarm.stores.audit import MemoryAudit
from swarm.stores.keyfile import MemoryKeys
from swarm.stores.memory import MemoryJournal
from swarm.testing.clock import FakeClock
from swarm.testing.ids import CountedIds
from swarm.workers.context import StepContext

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}
DAY_S = 86_400


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Sink:
    """Takes checkpoints."""

    def __init__(self) -> None:
        self.sizes: list[Any] = []

    async def put(self, checkpoint: Mapping[str, Any]) -> None:
        self.sizes.append(checkpoint["size"])


class Made:
    """A host on a clock that stands still, and what it is made of."""

    def __init__(self, **settings: Any) -> None:
        self.clock, self.log, self.sink = FakeClock(), MemoryAudit(), Sink()
        self.keys = MemoryKeys(self.clock.wall)
        self.journal = MemoryJournal()
        parts = Parts(self.journal, self.clock, CountedIds(), audit=self.log, keys=self._opened)
        self.host = Host(parts, checkpoints=[self.sink], **settings)

    def _opened(self) -> MemoryKeys:
        return self.keys

    async def work(self, times: int = 1) -> None:
        hello = await self.host.load(HELLO)
        for _ in range(times):
            await (await self.host.start(hello)).wait()

    @property
    def kid(self) -> str:
        return self.keys.keyring().current.kid


async def test_no_entry_stands_longer_than_a_minute_without_a_checkpoint() -> None:
    made = Made()
    async with made.host:
        await made.work(3)
        await made.clock.advance(59)
        assert made.sink.sizes == []
        await made.clock.advance(2)
        assert made.sink.sizes == [3]
        await made.clock.advance(600)
        assert made.sink.sizes == [3], "nothing came since"
        await made.work()
        await made.clock.advance(61)
        assert made.sink.sizes == [3, 4]


async def test_how_long_and_how_many_are_settings() -> None:
    made = Made(checkpoint_s=5.0, checkpoint_every=2)
    async with made.host:
        await made.work(3)
        assert made.sink.sizes == [2]
        await made.clock.advance(6)
        assert made.sink.sizes == [2, 3]


@pytest.mark.parametrize("settings", [{"checkpoint_s": 0}, {"checkpoint_every": 0}])
async def test_by_the_clock_none_is_signed_where_nobody_wants_that(
    settings: dict[str, float],
) -> None:
    made = Made(**settings)
    async with made.host:
        await made.work(3)
        await made.clock.advance(4_000)
    assert made.sink.sizes == []


async def test_what_layers_record_counts_too() -> None:
    made = Made(checkpoint_every=10, layers=["audit"])
    step = {"kind": "step", "ref": "work", "in": "1", "out": "ctx.x"}
    flow = {"kind": "seq", "children": [step] * 12}
    agents = [{"name": "work", "kind": "function", "function": "work"}]
    made.host.function("work")(_same)
    async with made.host:
        loaded = await made.host.load({"swarm": 1, "id": "h", "agents": agents, "flow": flow})
        await (await made.host.start(loaded)).wait()
        await made.clock.settle()
        assert len(made.sink.sizes) >= 1
        assert made.log.size == 25
        with anyio.fail_after(5):
            await anyio.wait_all_tasks_blocked()


async def test_what_a_layer_records_of_a_called_agent_is_kept_and_counts_too() -> None:
    made = Made(checkpoint_every=5, layers=["audit"])

    async def asks(given: int, step: StepContext) -> int:
        return await step.call("work", given)

    for name, function in (("work", _same), ("asks", asks)):
        made.host.function(name)(function)
    agents = [{"name": n, "kind": "function", "function": n} for n in ("work", "asks")]
    steps = [{"kind": "step", "ref": n, "in": "1", "out": "ctx.x"} for n in ("work", "asks")]
    flow = {"kind": "seq", "children": steps}
    async with made.host:
        loaded = await made.host.load({"swarm": 1, "id": "h", "agents": agents, "flow": flow})
        await (await made.host.start(loaded)).wait()
        await made.clock.settle()
        assert made.sink.sizes == [5]
    told = [(e.actor, e.decision) for e in made.log.entries if e.verb == "do"]
    assert told[2:] == [
        ("agent:asks", "begun"),
        ("agent:work", "begun"),
        ("agent:work", "done"),
        ("agent:asks", "done"),
    ]


async def _same(given: int) -> int:
    return given


async def test_a_key_that_is_a_day_old_signs_no_more_and_its_tokens_hold() -> None:
    made = Made(checkpoint_s=0)
    async with made.host as host:
        token, first = host.tokens.mint("ada", "operator"), made.kid
        await made.clock.advance(DAY_S - 3_700)
        assert made.kid == first
        token = host.tokens.mint("ada", "operator")
        await made.clock.advance(3_700 + 3_600)
        second = made.kid
        assert second != first
        assert host.judge().check(token, "run.list"), "signed with the key before"
        assert [e.actor for e in made.log.entries if e.verb == "token.rotate"] == ["host"]
        for _ in range(3):
            await made.clock.advance(DAY_S + 3_600)
        kids = [key.kid for key in made.keys.keyring().keys]
        assert second not in kids
        assert len(kids) <= 3


async def test_a_key_stays_where_nobody_uses_one_or_wants_another() -> None:
    for settings in ({}, {"rotate_s": 0}):
        made = Made(checkpoint_s=0, **settings)
        async with made.host as host:
            if settings:
                host.tokens.mint("ada", "operator")
            kid = made.kid
            await made.clock.advance(2 * DAY_S)
            assert made.kid == kid


async def test_a_round_that_fails_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Made()
    async with made.host:
        await made.work(2)
        real = made.journal.commit

        async def broken() -> None:
            raise SwarmError("journal.degraded", "no space")

        monkeypatch.setattr(made.journal, "commit", broken)
        await made.clock.advance(61)
        assert made.sink.sizes == []
        monkeypatch.setattr(made.journal, "commit", real)
        await made.clock.advance(61)
        assert made.sink.sizes == [2]


def loses(file: Path) -> None:
    file.unlink()


def is_written_over(file: Path) -> None:
    file.write_text("{}")


def turns_into_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("happens", [loses, is_written_over, turns_into_a_folder])
async def test_keys_that_cannot_be_had_any_more_end_neither_a_start_nor_the_host(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    happens: Callable[[Path], None],
) -> None:
    monkeypatch.setattr(keyfile, "_LOOK_S", 0)
    # Whoever starts makes the checkpoints that are due by number, and the rounds those by the
    # clock, every tenth of a second here.
    settings: dict[str, Any] = {"durability": "normal", "checkpoint_every": 3, "checkpoint_s": 0.1}
    async with Host(tmp_path, **settings) as host:
        hello = await host.load(HELLO)

        async def starts(times: int) -> None:
            for _ in range(times):
                assert await (await host.start(hello)).result() == {"said": "hello"}

        await starts(4)
        happens(tmp_path / "keys.json")
        for _ in range(3):
            await starts(4)
            await anyio.sleep(0.2)
        assert host.is_open
    said = [record.message for record in caplog.records]
    assert any(text.startswith("the checkpoint of") for text in said)
    assert any(text.startswith("the rounds of the host") for text in said)


def test_keys_without_one_to_sign_with_say_so() -> None:
    none = replace(MemoryKeys(FakeClock().wall).keyring(), keys=())
    with pytest.raises(Refused, match="expected a key to sign with, got a file") as refused:
        _ = none.current
    assert refused.value.code == "keys.file"
