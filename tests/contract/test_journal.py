"""What every journal must do, wherever it keeps its rows: one suite over all of them."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from flowir.values import measure
from swarm.blueprint.shared import Shared
from swarm.core.run import ENDED
from swarm.errors import Bug, Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.journal import RunRow
from swarm.ports.store import Store
from swarm.stores.entries import StoreLimits, follow
from swarm.stores.sqlite import Durability, open_store

pytestmark = pytest.mark.anyio

ONE, TWO = RunId("r_1"), RunId("r_2")
LIMITS = StoreLimits(events=40, value_size=200_000, spill_bytes=1_000)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(params=["memory", "normal", "full"])
def durability(request: pytest.FixtureRequest) -> Durability:
    return request.param


@pytest.fixture
def store(tmp_path: Path, durability: Durability) -> Iterator[Store]:
    opened = open_store(tmp_path / "store", durability, limits=LIMITS)
    yield opened
    opened.close()


def begun(seq: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "kind": "run.started",
        "seq": seq,
        "time_s": 10.5,
        "blueprint": "b",
        "digest": "d",
        **more,
    }


def note(seq: int, **more: Any) -> dict[str, Any]:
    return {"kind": "step.progress", "seq": seq, "time_s": 11.0, **more}


def ended(seq: int, kind: str = "run.finished", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "seq": seq, "time_s": 12.0, **more}


async def keep(store: Store, run_id: RunId, *rows: dict[str, Any]) -> None:
    store.journal.append(run_id, rows)
    await store.journal.commit()


async def seqs(store: Store, run_id: RunId, since: int = 0, limit: int = 1000) -> list[int]:
    return [row["seq"] for row in await store.journal.read(run_id, since, limit)]


async def test_rows_are_read_as_they_were_appended(store: Store) -> None:
    rows = [begun(), note(2, value={"b": [1, 2.5, None, True], "a": "ä\n\u2028"})]
    await keep(store, ONE, *rows)
    read = await store.journal.read(ONE)
    assert [dict(row) for row in read] == rows
    assert list(read[1]["value"]) == ["b", "a"], "members stay in their order"


async def test_numbers_keep_their_kind_and_every_digit(store: Store) -> None:
    seed = 7
    dice = random.Random(seed)  # noqa: S311 - a repeatable one
    floats = (struct.unpack("d", dice.randbytes(8))[0] for _ in range(2_000))
    values: list[Any] = [f for f in floats if math.isfinite(f)]
    values += [5.0, -0.0, 5e-324, 1.7976931348623157e308, 2**53 + 1, -(2**63), 2**63 - 1]
    await keep(store, ONE, begun(), note(2, value=values))
    read = (await store.journal.read(ONE, 1))[0]["value"]
    assert [repr(value) for value in read] == [repr(value) for value in values]


async def test_nothing_is_seen_before_it_is_committed(store: Store) -> None:
    store.journal.append(ONE, [begun()])
    assert await store.journal.read(ONE) == []
    assert await store.journal.heads() == {}
    assert await store.journal.runs() == []
    await store.journal.commit()
    assert await store.journal.heads() == {ONE: 1}


async def test_a_row_that_changes_after_it_was_appended_is_kept_as_it_was(store: Store) -> None:
    row = begun(value=[1])
    store.journal.append(ONE, [row])
    row["value"].append(2)
    await store.journal.commit()
    (read,) = await store.journal.read(ONE)
    cast("list[int]", read["value"]).append(3)
    (again,) = await store.journal.read(ONE)
    assert again["value"] == [1]


@pytest.mark.parametrize(("since", "limit"), [(0, 2), (1, 2), (3, 9), (4, 9), (9, 9), (-5, 1)])
async def test_a_part_is_what_lies_behind_since(store: Store, since: int, limit: int) -> None:
    await keep(store, ONE, begun(), note(2), note(3), note(4))
    assert await seqs(store, ONE, since, limit) == [1, 2, 3, 4][max(since, 0) :][:limit]


async def test_a_run_that_is_not_there_has_no_rows(store: Store) -> None:
    assert await store.journal.read(ONE) == []
    assert await store.journal.verify(ONE) is None


async def test_a_gap_in_the_numbers_is_refused_and_nothing_is_kept(store: Store) -> None:
    await keep(store, ONE, begun())
    with pytest.raises(Bug, match="expected row 3, got 4"):
        store.journal.append(ONE, [note(2), note(4)])
    await keep(store, ONE, note(2))
    assert await seqs(store, ONE) == [1, 2]


async def test_an_event_that_cannot_follow_is_refused_and_nothing_is_kept(store: Store) -> None:
    await keep(store, ONE, begun())
    with pytest.raises(Bug, match="cannot follow"):
        store.journal.append(ONE, [note(2), begun(3)])
    assert await seqs(store, ONE) == [1]


async def test_runs_share_a_commit_and_are_told_apart(store: Store) -> None:
    store.journal.append(TWO, [begun()])
    store.journal.append(ONE, [begun(), note(2)])
    store.journal.append(TWO, [note(2), note(3)])
    await store.journal.commit()
    assert list((await store.journal.heads()).items()) == [(TWO, 3), (ONE, 2)]
    assert await seqs(store, TWO) == [1, 2, 3]


async def test_many_tasks_commit_at_once_and_each_finds_its_rows(store: Store) -> None:
    async def work(run_id: RunId) -> None:
        await keep(store, run_id, begun())
        for seq in range(2, 20):
            await keep(store, run_id, note(seq))
            assert (await seqs(store, run_id, seq - 1))[0] == seq
        await keep(store, run_id, ended(20))

    names = [RunId(f"r_{i}") for i in range(50)]
    async with anyio.create_task_group() as tasks:
        for name in names:
            tasks.start_soon(work, name)
    assert await store.journal.heads() == dict.fromkeys(names, 20)
    assert [await store.journal.verify(name) for name in names] == [None] * 50


async def test_a_commit_whose_caller_was_cancelled_is_made(store: Store) -> None:
    acknowledged: list[RunId] = []

    async def work(run_id: RunId) -> None:
        store.journal.append(run_id, [begun()])
        await store.journal.commit()
        acknowledged.append(run_id)

    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            for number in range(4):
                tasks.start_soon(work, RunId(f"r_{number}"))
            await anyio.lowlevel.checkpoint()
            scope.cancel()
    assert len(acknowledged) == 4
    assert set(await store.journal.heads()) == set(acknowledged)


async def test_runs_are_listed_with_what_their_events_say(store: Store) -> None:
    await keep(store, ONE, begun())
    await keep(store, TWO, begun(blueprint="c"), note(2), ended(3))
    one = RunRow(ONE, "running", "b", "d", 10.5)
    two = RunRow(TWO, "succeeded", "c", "d", 10.5, 12.0)
    assert list(await store.journal.runs()) == [two, one]
    assert list(await store.journal.runs({"running"})) == [one]
    assert list(await store.journal.runs({"failed", "cancelled"})) == []
    assert list(await store.journal.runs(limit=1)) == [two]
    assert list(await store.journal.runs(before=TWO)) == [one]
    assert list(await store.journal.runs(before=ONE)) == []
    assert list(await store.journal.runs(before=RunId("none"))) == []


async def test_one_run_is_found_by_its_id_as_it_is_listed(store: Store) -> None:
    for run_id in (ONE, TWO):
        await keep(store, run_id, begun())
    store.journal.append(RunId("open"), [begun()])
    for row in await store.journal.runs():
        assert await store.journal.run(row.run_id) == row
    assert await store.journal.run(RunId("nobody")) is None
    assert await store.journal.run(RunId("open")) is None
    await store.journal.commit()
    assert await store.journal.run(RunId("open")) is not None


async def test_what_is_listed_is_a_reading_of_the_events(store: Store) -> None:
    ends = ("run.finished", "run.failed", "run.cancelled", None)
    for number, end in enumerate(ends):
        run_id = RunId(f"r_{number}")
        await keep(store, run_id, begun(time_s=float(number)), note(2))
        await keep(store, run_id, {"kind": "run.cancelling", "seq": 3}, note(4))
        if end is not None:
            await keep(store, run_id, ended(5, end))
    for listed in await store.journal.runs():
        run = RunRow(listed.run_id)
        for row in await store.journal.read(listed.run_id):
            run = follow(run, row)
        assert run == listed


async def test_large_members_come_back_unseen(store: Store) -> None:
    rows = [
        begun(input={"text": "x" * 5_000, "n": 1}),
        note(2, a="y" * 3_000, b=1, c=["z" * 3_000]),
        note(3, small="but " * 200, many="together", above="the bound " * 90),
    ]
    await keep(store, ONE, *rows)
    read = await store.journal.read(ONE)
    assert [dict(row) for row in read] == rows
    assert [list(row) for row in read] == [list(row) for row in rows]
    assert await store.journal.verify(ONE) is None


async def test_a_member_above_the_limit_is_refused_before_anything_is_kept(store: Store) -> None:
    await keep(store, ONE, begun())
    with pytest.raises(SwarmError) as refused:
        store.journal.append(ONE, [note(2), note(3, value="x" * 200_000)])
    assert refused.value.code == "value.too_large"
    await keep(store, ONE, note(2, value="x" * 199_990))
    assert await seqs(store, ONE) == [1, 2]


async def test_a_member_of_just_the_limit_is_kept_and_one_byte_more_is_not(store: Store) -> None:
    await keep(store, ONE, begun())
    for more, length in ((0, 200_000), (1, 200_001)):
        value = ["x" * (LIMITS.value_size - 10 + more)]
        value.append("x" * (length - measure(value)[0] - measure(["", ""])[0] + measure([""])[0]))
        assert measure(value)[0] == length
        if more:
            with pytest.raises(SwarmError, match="at most 200000 bytes, got 200001"):
                store.journal.append(ONE, [note(3), note(4, value=value)])
        else:
            await keep(store, ONE, note(2, value=value))
    assert await seqs(store, ONE) == [1, 2]


async def test_a_run_at_its_limit_takes_only_what_ends_it(store: Store) -> None:
    await keep(store, ONE, begun(), *(note(seq) for seq in range(2, 41)))
    with pytest.raises(SwarmError) as refused:
        store.journal.append(ONE, [note(41)])
    assert refused.value.code == "journal.too_long"
    await keep(store, ONE, ended(41, "step.cancelled"), ended(42, "run.failed"))
    assert await store.journal.heads() == {ONE: 42}


async def test_blobs_are_seen_with_the_commit_that_follows(store: Store) -> None:
    name = store.blobs.put(ONE, b"a document")
    store.journal.append(ONE, [begun()])
    with pytest.raises(Refused, match=r"blob .*: expected one that is kept, got none"):
        await store.blobs.get(name)
    await store.journal.commit()
    assert await store.blobs.get(name) == b"a document"
    assert store.blobs.put(TWO, b"a document") == name


@pytest.mark.parametrize("name", ["", "00", "no hex", "0" * 64])
async def test_a_blob_that_is_not_there_is_refused(store: Store, name: str) -> None:
    with pytest.raises(Refused) as refused:
        await store.blobs.get(name)
    assert refused.value.code == "blob.unknown"


async def test_runs_within_a_run_go_with_it(store: Store) -> None:
    within, inmost = RunId("within"), RunId("inmost")
    own = store.blobs.put(ONE, b"own")
    await keep(store, ONE, begun(), ended(2))
    await keep(store, within, begun(parent={"run": ONE, "key": "$", "attempt": 1}), ended(2))
    of = {"run": within, "key": "$", "attempt": 1}
    await keep(store, inmost, begun(parent=of, input=ref(own)))
    await keep(store, TWO, begun(), ended(2))
    assert {row.run_id: row.parent for row in await store.journal.runs()} == {
        ONE: None,
        within: ONE,
        inmost: within,
        TWO: None,
    }
    with pytest.raises(Refused, match="run inmost: expected one that has ended") as refused:
        await store.journal.forget([ONE])
    assert refused.value.code == "run.live"
    assert len(await store.journal.runs()) == 4
    await keep(store, inmost, ended(2))
    assert (await store.journal.forget([ONE, within], dry_run=True)).runs == 3
    gone = await store.journal.forget([ONE, within])
    assert (gone.runs, gone.events, gone.blobs) == (3, 6, 1)
    assert [row.run_id for row in await store.journal.runs()] == [TWO]


def ref(name: str) -> dict[str, Any]:
    return {"$ref": f"sha256:{name}", "size": 6, "type": "text"}


async def test_a_run_holds_what_its_rows_mention(store: Store) -> None:
    name = store.blobs.put(ONE, b"shared")
    await keep(store, ONE, begun(), ended(2))
    large = ["x" * LIMITS.spill_bytes, {"deep": ref(name)}]
    await keep(store, TWO, begun(input=large), ended(2))
    assert (await store.journal.forget([ONE])).blobs == 0
    assert await store.blobs.get(name) == b"shared"
    await store.journal.forget([TWO])
    with pytest.raises(Refused, match="expected one that is kept"):
        await store.blobs.get(name)


async def test_what_only_looks_like_a_reference_holds_nothing(store: Store) -> None:
    name = store.blobs.put(ONE, b"own")
    await keep(store, ONE, begun(), ended(2))
    text = f'{{"$ref":"sha256:{name}"}}'
    short = {"$ref": f"sha256:{name[:-1]}"}
    await keep(store, TWO, begun(input=[text, short, ref("0" * 64)]), ended(2))
    assert (await store.journal.forget([ONE])).blobs == 1
    assert (await store.journal.forget([TWO])).runs == 1


async def test_forgetting_takes_events_and_the_blobs_of_nobody_else(store: Store) -> None:
    shared = store.blobs.put(ONE, b"shared")
    own = store.blobs.put(ONE, b"own")
    assert store.blobs.put(TWO, b"shared") == shared
    await keep(store, ONE, begun(), ended(2))
    await keep(store, TWO, begun(), ended(2))
    would = await store.journal.forget([ONE], dry_run=True)
    assert await seqs(store, ONE) == [1, 2]
    done = await store.journal.forget([ONE])
    assert would == done
    assert (done.runs, done.events, done.blobs) == (1, 2, 1)
    assert done.size_bytes > len(b"own")
    assert await store.journal.heads() == {TWO: 2}
    assert await store.blobs.get(shared) == b"shared"
    with pytest.raises(Refused):
        await store.blobs.get(own)
    assert (await store.journal.forget([ONE])).runs == 0
    assert (await store.journal.forget([TWO])).blobs == 1


async def test_a_forgotten_id_may_begin_anew(store: Store) -> None:
    await keep(store, ONE, begun(), ended(2))
    await store.journal.forget([ONE])
    await keep(store, ONE, begun(time_s=99.0))
    assert await seqs(store, ONE) == [1]
    assert await store.journal.verify(ONE) is None


async def test_a_run_that_has_not_ended_is_not_forgotten(store: Store) -> None:
    await keep(store, ONE, begun())
    await keep(store, TWO, begun(), ended(2))
    with pytest.raises(Refused, match="expected one that has ended, got one that is running"):
        await store.journal.forget([TWO, ONE])
    assert await store.journal.heads() == {ONE: 1, TWO: 2}


async def test_a_healthy_journal_says_so(store: Store) -> None:
    assert store.journal.health == "ok"
    assert await store.journal.probe() == "ok"


async def test_rows_behind_an_end_hang_on_it(store: Store) -> None:
    store.journal.append(ONE, [begun(), ended(2)])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(store.journal.commit)
        tasks.start_soon(store.journal.commit)
        store.journal.append(ONE, [note(3)])
    store.journal.append(ONE, [note(4)])
    await store.journal.commit()
    await keep(store, ONE, note(5))
    assert await seqs(store, ONE) == [1, 2, 3, 4, 5]
    assert await store.journal.verify(ONE) is None


async def test_every_state_that_ends_a_run_can_be_forgotten(store: Store) -> None:
    kinds = {"succeeded": "run.finished", "failed": "run.failed", "cancelled": "run.cancelled"}
    assert set(kinds) == ENDED
    for status, kind in kinds.items():
        await keep(store, RunId(status), begun(), ended(2, kind))
        assert (await store.journal.runs({status}))[0].run_id == status
        assert (await store.journal.forget([RunId(status)])).runs == 1


# -- what runs have in common --------------------------------------------------------------------


async def test_a_document_that_runs_share_is_kept_once_and_read_whole(store: Store) -> None:
    document = {"swarm": 1, "flow": {"b": [1, 2.5], "a": "ä"}, "agents": []}
    shared = Shared(document)
    for run_id in (ONE, TWO):
        store.journal.new(run_id)
        await keep(store, run_id, begun(document=shared), note(2))
    for run_id in (ONE, TWO):
        (read, _) = await store.journal.read(run_id)
        assert dict(read) == begun(document=document)
        assert list(read["document"]["flow"]) == ["b", "a"], "members stay in their order"
        assert await store.journal.verify(run_id) is None
    assert await store.blobs.get(shared.digest) == shared.body
    await keep(store, ONE, ended(3))
    await keep(store, TWO, ended(3))
    assert (await store.journal.forget([ONE])).blobs == 0
    assert (await store.journal.read(TWO))[0]["document"] == document
    assert (await store.journal.forget([TWO])).blobs == 1


async def test_a_large_first_row_keeps_both_apart(store: Store) -> None:
    shared = Shared({"flow": "f"})
    await keep(store, ONE, begun(document=shared, input="x" * 5_000))
    (read,) = await store.journal.read(ONE)
    assert dict(read) == begun(document={"flow": "f"}, input="x" * 5_000)


async def test_what_a_shared_document_mentions_is_held(store: Store) -> None:
    name = store.blobs.put(TWO, b"data")
    await keep(store, TWO, begun())
    shared = Shared({"flow": {"$ref": f"sha256:{name}", "size": 4, "type": "bytes"}})
    await keep(store, ONE, begun(document=shared))
    await keep(store, TWO, ended(2))
    await store.journal.forget([TWO])
    assert await store.blobs.get(name) == b"data"


async def test_a_run_that_was_promised_to_be_new_is_one_like_any_other(store: Store) -> None:
    store.journal.new(ONE)
    assert await store.journal.run(ONE) is None
    await keep(store, ONE, begun(), note(2))
    store.journal.new(ONE)
    await keep(store, ONE, ended(3))
    assert await seqs(store, ONE) == [1, 2, 3]
