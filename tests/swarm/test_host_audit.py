"""What is done to a host, in its audit log: by whom, and whether it was allowed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.core.audit.checkpoint import read_checkpoint
from swarm.core.audit.entries import entry_of
from swarm.core.audit.inspect import inspect
from swarm.core.capability.mint import mark_of
from swarm.errors import Denied, Refused
from swarm.host.host import Host
from swarm.host.parts import Parts
from swarm.ports.audit import AuditEntry
from swarm.stores.audit import MemoryAudit
from swarm.stores.checkpoints import FileSink
from swarm.stores.memory import MemoryJournal
from swarm.stores.sqlite.audit import AuditReader
from swarm.testing.clock import FakeClock
from swarm.testing.ids import CountedIds

pytestmark = pytest.mark.anyio

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}
ASKS: dict[str, Any] = {
    "swarm": 1,
    "id": "asks",
    "agents": [{"name": "human", "kind": "human", "prompt": "sure?"}],
    "flow": {"kind": "step", "ref": "human", "in": "null", "out": "ctx.answer"},
}


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def log() -> MemoryAudit:
    return MemoryAudit()


def opened(log: MemoryAudit, **more: Any) -> Host:
    return Host(Parts(MemoryJournal(), FakeClock(), CountedIds(), audit=log), **more)


def told(log: MemoryAudit) -> list[tuple[str, str, str, str | None]]:
    return [(e.actor, e.verb, e.decision, e.run) for e in log.entries]


async def asked(host: Host) -> Any:
    """Start a run that waits for an answer."""
    run = await host.start(await host.load(ASKS))
    async for event in run.events():
        if event["kind"] == "run.waiting":
            return run
    return run


async def test_the_owners_acts_are_recorded(log: MemoryAudit) -> None:
    async with opened(log) as host:
        run = await asked(host)
        (question,) = await run.questions()
        await run.answer(question.id, "yes")
        await run.wait()
        await host.rerun(run.id, from_step="$")
        other = await asked(host)
        await other.pause()
        await other.wait()
        await host.resume(other.id)
        await other.cancel()
        await other.wait()
    assert told(log) == [
        ("owner", "run.start", "allowed", "r_1"),
        ("owner", "question.answer", "allowed", "r_1"),
        ("owner", "run.rerun", "allowed", "r_1"),
        ("owner", "run.start", "allowed", "r_3"),
        ("owner", "run.pause", "allowed", "r_3"),
        ("owner", "run.resume", "allowed", "r_3"),
        ("owner", "run.cancel", "allowed", "r_3"),
    ]
    assert log.entries[2].detail == {"made": "r_2"}


async def test_a_guests_acts_are_recorded_in_his_name(log: MemoryAudit) -> None:
    async with opened(log) as host:
        guest = host.guest(host.tokens.mint("ada", "operator", depth=1))
        run = await guest.start(await host.load(ASKS))
        await run.status()
        await guest.delegate(["run.list"])
        await run.cancel()
    assert told(log) == [
        ("owner", "token.mint", "allowed", None),
        ("ada", "run.start", "allowed", "r_1"),
        ("ada", "token.delegate", "allowed", None),
        ("ada", "run.cancel", "allowed", "r_1"),
    ]
    minted, started = log.entries[0].detail, log.entries[1].detail
    assert started["role"] == "operator"
    assert started["token"] == minted["token"], "the fingerprint leads from act to token"


async def test_what_was_refused_is_recorded_with_its_reason(log: MemoryAudit) -> None:
    async with opened(log) as host:
        hello = await host.load(HELLO)
        guest = host.guest(host.tokens.mint("eve", "observer"))
        with pytest.raises(Denied):
            await guest.start(hello, run_id="r_x")
        with pytest.raises(Denied):
            await host.guest("v1.nobody").start(hello, run_id="r_x")
        await host.tokens.revoke(subject="eve")
        with pytest.raises(Denied):
            await guest.runs()
    assert told(log)[1:] == [
        ("eve", "run.start", "denied", "r_x"),
        ("unknown", "run.start", "denied", None),
        ("owner", "token.revoke", "allowed", None),
        ("unknown", "run.list", "denied", None),
    ]
    assert [e.detail.get("reason") for e in log.entries[1:]] == ["role", "form", None, "revoked"]


async def test_acts_on_tokens_say_which_token_it_was(log: MemoryAudit) -> None:
    async with opened(log) as host:
        token = host.tokens.mint("root", "admin")
        bob = host.tokens.mint("bob", "operator", depth=1)
        root = host.guest(token)
        minted = await root.mint("ada", "operator")
        less = await host.guest(bob).delegate(["run.read"])
        kid = await root.rotate()
        await root.revoke(token=minted)
        await host.tokens.revoke(subject="eve")
        await host.tokens.revoke(run="r_1")
        await host.tokens.revoke(kid=kid)
    ours = {"role": "admin", "token": mark_of(token)}
    theirs = {"role": "operator", "token": mark_of(bob)}
    assert [dict(entry.detail) for entry in log.entries[2:]] == [
        {"minted": {"subject": "ada", "role": "operator", "token": mark_of(minted)}, **ours},
        {"minted": {"subject": "bob", "role": "operator", "token": mark_of(less)}, **theirs},
        {"kid": kid, **ours},
        {"revoked": "token", "name": mark_of(minted), **ours},
        {"revoked": "subject", "name": "eve"},
        {"revoked": "run", "name": "r_1"},
        {"revoked": "kid", "name": kid},
    ]


async def test_what_changed_nothing_is_not_recorded(log: MemoryAudit) -> None:
    async with opened(log) as host:
        hello = await host.load(HELLO)
        run = await host.start(hello, run_id="r_mine")
        await run.wait()
        await host.start(hello, run_id="r_mine")
        await run.cancel()
        with pytest.raises(Refused):
            await host.start("unknown")
        with pytest.raises(Refused):
            await run.answer("r_mine:1", 1)
    assert told(log) == [("owner", "run.start", "allowed", "r_mine")]


async def test_who_knocks_often_does_not_fill_the_log() -> None:
    clock, log = FakeClock(), MemoryAudit()
    async with Host(Parts(MemoryJournal(), clock, CountedIds(), audit=log)) as host:

        async def knock(times: int) -> None:
            for _ in range(times):
                with pytest.raises(Denied):
                    await host.guest("v1.x").runs()

        await knock(500)
        assert log.end()[0] == 60
        left_s = 60 - clock.wall() % 60
        await clock.advance(left_s - 1)
        await knock(1)
        assert log.end()[0] == 60, "it is the same minute"
        await clock.advance(1)
        await knock(1)
        assert log.end()[0] == 61
        assert log.entries[-1].detail["unrecorded"] == 441


async def test_children_and_closing_are_nobodys_acts(log: MemoryAudit) -> None:
    async with opened(log) as host:
        await asked(host)
    assert told(log) == [("owner", "run.start", "allowed", "r_1")]


async def test_a_host_without_a_log_works_as_well() -> None:
    async with Host(Parts(MemoryJournal(), FakeClock(), CountedIds())) as host:
        run = await host.guest(host.tokens.mint("ada", "operator")).start(await host.load(HELLO))
        assert (await run.wait()).status == "succeeded"


KILLED = """
import os, sys, anyio
from swarm.host.host import Host
from swarm.stores.sqlite import writer

when, folder = sys.argv[1:]
write = writer.Writer.write

def killed(self, batch):
    if batch.runs and when == "before":
        os._exit(9)
    write(self, batch)
    if batch.runs:
        os._exit(9)

async def main():
    writer.Writer.write = killed
    async with Host(folder, resume="manual") as host:
        await host.start(await host.load(%r))

anyio.run(main)
"""


@pytest.mark.parametrize("when", ["before", "after"])
async def test_an_act_and_its_entry_are_there_or_neither_is(tmp_path: Path, when: str) -> None:
    argv = [sys.executable, "-c", KILLED % HELLO, when, str(tmp_path)]
    assert subprocess.run(argv, check=False, timeout=60).returncode == 9  # noqa: S603, ASYNC221
    async with Host(tmp_path, resume="manual") as host:
        runs = await host.runs()
    found = [entry_of(row.body).run for row in rows_of(tmp_path)]
    assert found == [run.id for run in runs]
    assert len(found) == (when == "after")


def rows_of(folder: Path) -> list[Any]:
    with AuditReader(folder / "journal.db") as reader:
        return list(reader.rows())


# -- checkpoints --------------------------------------------------------------------------------


class Sink:
    """Keeps what it is given, or fails."""

    def __init__(self) -> None:
        self.taken: list[Mapping[str, Any]] = []
        self.broken = False

    async def put(self, checkpoint: Mapping[str, Any]) -> None:
        if self.broken:
            raise OSError("away")
        self.taken.append(checkpoint)


async def test_a_checkpoint_is_signed_whenever_so_many_entries_more_are_kept(
    log: MemoryAudit,
) -> None:
    sink = Sink()
    async with opened(log, checkpoints=[sink], checkpoint_every=5) as host:
        hello = await host.load(HELLO)
        for _ in range(12):
            await host.start(hello)
        assert [c["size"] for c in sink.taken] == [5, 10]
        sink.broken = True
        for _ in range(4):
            await host.start(hello)
        sink.broken = False
        made = await host.checkpoint()
        assert sink.taken[-1] == made
        assert made["size"] == 16
    read = [read_checkpoint(c) for c in sink.taken]
    found = inspect(log.rows(), [read], {read[0].key})
    assert (found.checkpoints, found.fault) == (3, None)


async def test_none_is_signed_where_nobody_asks(log: MemoryAudit) -> None:
    sink = Sink()
    async with opened(log, checkpoints=[sink], checkpoint_every=0) as host:
        hello = await host.load(HELLO)
        for _ in range(120):
            await host.start(hello)
    assert sink.taken == []


async def test_a_store_keeps_its_checkpoints_beside_it(tmp_path: Path) -> None:
    async with Host(tmp_path, checkpoint_every=5) as host:
        hello = await host.load(HELLO)
        for _ in range(7):
            await host.start(hello)
    lines = (tmp_path / "checkpoints.jsonl").read_text().splitlines()
    assert [json.loads(line)["size"] for line in lines] == [5]
    witnesses = json.loads((tmp_path / "keys.json").read_text())["witnesses"]
    checkpoint = read_checkpoint(lines[0])
    assert witnesses == {checkpoint.kid: checkpoint.key}
    assert inspect(rows_of(tmp_path), [[checkpoint]], {checkpoint.key}).fault is None


async def test_a_line_that_a_crash_cut_short_swallows_no_other(tmp_path: Path) -> None:
    file = tmp_path / "c.jsonl"
    file.write_text('{"v": 1, "si')
    await FileSink(file).put({"v": 1})
    await FileSink(file).put({"v": 2})
    assert file.read_text().splitlines() == ['{"v": 1, "si', '{"v": 1}', '{"v": 2}']


async def test_a_checkpoint_speaks_of_nothing_that_a_crash_could_take(tmp_path: Path) -> None:
    """What was recorded and not yet committed is in no checkpoint before it is."""
    async with Host(tmp_path, checkpoint_every=0) as host:
        await host.start(await host.load(HELLO))
        parts = host._opened().parts  # pyright: ignore[reportPrivateUsage]
        assert parts.audit is not None
        parts.audit.record(AuditEntry(1.0, "x", "y", "z"))
        made = await host.checkpoint()
        assert len(rows_of(tmp_path)) >= made["size"] == 2


async def test_guests_that_act_at_once_are_told_apart(log: MemoryAudit) -> None:
    async with opened(log) as host:
        hello = await host.load(HELLO)
        guests = [host.guest(host.tokens.mint(f"g{n}", "operator")) for n in range(20)]
        async with anyio.create_task_group() as tasks:
            for number, guest in enumerate(guests):

                async def start(guest: Any = guest, number: int = number) -> None:
                    await guest.start(hello, run_id=f"r_of_{number}")

                tasks.start_soon(start)
    acts = [e for e in log.entries if e.verb == "run.start"]
    assert sorted((e.actor, e.run) for e in acts) == sorted(
        (f"g{n}", f"r_of_{n}") for n in range(20)
    )
