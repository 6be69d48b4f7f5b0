"""Rows as they are kept: their chain, what is kept apart, and what a list shows of them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from pydantic_core import to_json

from swarm.blueprint.shared import Shared
from swarm.core.events import RUN_ENDS, STEP_ENDS
from swarm.errors import Bug, Refused, SwarmError
from swarm.ids import RunId
from swarm.ports.journal import RunRow
from swarm.stores.chain import genesis, link, walk
from swarm.stores.entries import (
    DEFAULT_STORE_LIMITS,
    Head,
    StoreLimits,
    decode,
    digest,
    extend,
    follow,
    has_ended,
    live,
    missing_blob,
    whole_blob,
)

RUN = RunId("r_1")
NAMES = ["ab" * 32, "cd" * 32]


class Beside:
    """Keeps what stands beside the rows; `full`: large members stay where they are."""

    def __init__(self, *, full: bool = False) -> None:
        self.full = full
        self.held: list[str] = []
        self.kept: dict[str, bytes] = {}
        self.heads: set[int] = set()

    def hold(self, head: Head, name: str) -> None:
        self.heads.add(head.number)
        self.held.append(name)

    def share(self, head: Head, shared: Shared) -> None:
        self.heads.add(head.number)
        self.kept[shared.digest] = shared.body

    def spill(self, head: Head, body: bytes) -> str | None:
        self.heads.add(head.number)
        if self.full:
            return None
        self.kept[digest(body)] = body
        return digest(body)


def row(seq: int, kind: str = "step.progress", **more: Any) -> dict[str, Any]:
    return {"kind": kind, "seq": seq, "time_s": float(seq), **more}


def started(**more: Any) -> dict[str, Any]:
    return row(1, "run.started", blueprint="b", digest="d", **more)


def kept(
    *rows: dict[str, Any], limits: StoreLimits = DEFAULT_STORE_LIMITS, full: bool = False
) -> tuple[Head, list[Any], Beside]:
    head, beside = Head(RunRow(RUN), 7), Beside(full=full)
    return head, extend(head, rows, limits, beside), beside


# -- the chain -----------------------------------------------------------------------------


def test_rows_are_chained_to_what_was_there() -> None:
    rows = [started(), row(2, "step.started", input=1), row(3, "step.finished", value=[1, 2**60])]
    head, entries, _ = kept(*rows)
    assert [(number, seq) for number, seq, _, _ in entries] == [(7, 1), (7, 2), (7, 3)]
    assert [json.loads(body) for *_, body in entries] == rows
    before = genesis(RUN)
    for _, _, hash_, body in entries:
        before = link(before, body)
        assert hash_ == before
    assert (head.seq, head.hash, head.number) == (3, before, 7)
    links = [(seq, hash_, body) for _, seq, hash_, body in entries]
    assert [seq for seq, _ in walk(RUN, 0, genesis(RUN), links)] == [1, 2, 3]
    more = extend(head, [row(4)], DEFAULT_STORE_LIMITS, Beside())
    assert more[0][2] == link(before, more[0][3])
    assert Head(RunRow(RUN)).hash == genesis(RUN)
    assert Head(RunRow(RUN), hash=b"x").hash == b"x"


@pytest.mark.parametrize("rows", [[row(2)], [row(1), row(3)], [row(1), row(1)], [row(0)]])
def test_a_row_out_of_its_place_changes_nothing(rows: list[dict[str, Any]]) -> None:
    head = Head(RunRow(RUN))
    with pytest.raises(Bug, match=f"run r_1: expected row {len(rows)}, got {rows[-1]['seq']}"):
        extend(head, rows, DEFAULT_STORE_LIMITS, Beside())
    assert (head.seq, head.hash, head.run) == (0, genesis(RUN), RunRow(RUN))


def test_a_run_has_just_so_many_events_and_may_end_behind_them() -> None:
    limits = StoreLimits(events=2)
    head, _, _ = kept(started(), row(2), limits=limits)
    with pytest.raises(SwarmError) as refused:
        extend(head, [row(3)], limits, Beside())
    assert (refused.value.code, refused.value.values) == (
        "journal.too_long", {"run_id": RUN, "limit": 2},
    )  # fmt: skip
    assert refused.value.message == (
        "run r_1: expected at most 2 events, got one more \u2014 split the work into runs"
    )
    for end in sorted(RUN_ENDS | STEP_ENDS):
        there, _, _ = kept(started(), row(2), limits=limits)
        assert len(extend(there, [row(3, end)], limits, Beside())) == 1
    assert DEFAULT_STORE_LIMITS.events == 1_000_000


# -- what is kept apart --------------------------------------------------------------------


def test_what_a_row_mentions_its_run_holds() -> None:
    refs = [{"$ref": f"sha256:{name}", "size": 1, "type": "text"} for name in NAMES]
    _, _, beside = kept(started(ctx=refs[0]), row(2, value=[refs]), row(3, text=f"sha256:{NAMES}"))
    assert beside.held == [NAMES[0], *NAMES]
    assert beside.heads == {7}
    # Of an attempt that begins only its input's digest is told.
    assert kept(started(), row(2, "step.started", value=refs))[2].held == []


def test_a_document_that_runs_share_is_kept_once_and_apart() -> None:
    document = Shared({"id": "b", "at": {"$ref": f"sha256:{NAMES[0]}", "size": 1, "type": "text"}})
    first = started(document=document, more=1)
    _, ((_, _, _, body),), beside = kept(first)
    assert beside.kept == {document.digest: document.body}
    assert beside.held == [NAMES[0]]
    assert json.loads(body)["spilled"] == {
        "document": {"sha256": document.digest, "size": len(document.body)}
    }
    found = decode(body, beside.kept.__getitem__)
    assert found == {**first, "document": json.loads(document.body)}
    assert list(found) == list(first), "in the order in which they were"
    plain = started(document={"id": "b"})
    _, ((_, _, _, body),), beside = kept(plain)
    assert (json.loads(body), beside.kept) == (plain, {})


def test_large_members_of_a_large_row_are_kept_apart() -> None:
    limits = StoreLimits(spill_bytes=100)
    whole = row(1, text="a" * 40, value="b" * 98, other="c" * 99, end=1)
    _, ((_, _, _, body),), beside = kept(whole, limits=limits)
    other = to_json("c" * 99)
    assert beside.kept == {digest(other): other}, "up to a hundred bytes stay"
    assert json.loads(body)["other"] is None
    assert json.loads(body)["spilled"] == {"other": {"sha256": digest(other), "size": 101}}
    found = decode(body, beside.kept.__getitem__)
    assert (found, list(found)) == (whole, list(whole))
    _, ((_, _, _, body),), beside = kept(whole, limits=limits, full=True)
    assert (json.loads(body), beside.heads) == (whole, {7})


def test_a_row_that_is_not_large_as_a_whole_stays_as_it_is() -> None:
    plain = row(1, value="x")
    size = len(to_json(plain))
    for most, apart in ((size, False), (size - 1, True)):
        limits = StoreLimits(spill_bytes=most)
        _, ((_, _, _, body),), _ = kept(row(1, value="x"), limits=limits)
        # Nothing in it is large enough by itself: it stays all the same.
        assert json.loads(body) == plain, apart
    many = row(1, **{f"m{n}": "x" * 30 for n in range(10)})
    assert kept(many, limits=StoreLimits(spill_bytes=100))[2].kept == {}


def test_both_are_put_back_into_the_first_row() -> None:
    document = Shared({"id": "b"})
    first = started(document=document, ctx="x" * 200)
    _, ((_, _, _, body),), beside = kept(first, limits=StoreLimits(spill_bytes=100))
    assert sorted(json.loads(body)["spilled"]) == ["ctx", "document"]
    assert decode(body, beside.kept.__getitem__) == {**first, "document": {"id": "b"}}


def test_no_row_says_itself_what_was_kept_apart() -> None:
    with pytest.raises(Bug, match="run r_1: a row with a member 'spilled'"):
        kept(row(1, spilled={"a": 1}, value="x" * 200), limits=StoreLimits(spill_bytes=100))


def test_a_member_has_just_so_many_bytes() -> None:
    limits = StoreLimits(value_size=100, spill_bytes=50)
    assert kept(row(1, value="x" * 98), limits=limits)[1]
    with pytest.raises(SwarmError) as refused:
        kept(started(), row(2, value="x" * 200), limits=limits)
    assert refused.value.code == "value.too_large"
    size = refused.value.values["size"]
    assert 200 <= size <= 202
    assert refused.value.message == (
        f"run r_1, event 2: expected 'value' of at most 100 bytes, got {size} \u2014 hand over a "
        "reference"
    )
    exact = StoreLimits(value_size=size, spill_bytes=50)
    assert kept(row(1, value="x" * 200), limits=exact)[1]
    with pytest.raises(SwarmError):
        kept(row(1, value="x" * 200), limits=StoreLimits(value_size=size - 1, spill_bytes=50))


# -- what a list shows ---------------------------------------------------------------------


def test_a_list_follows_the_events_of_a_run() -> None:
    run = RunRow(RUN)
    begun = follow(run, started(parent={"run": "r_0"}))
    assert begun == RunRow(RUN, "running", "b", "d", 1.0, None, RunId("r_0"))
    assert follow(run, started()).parent is None
    assert follow(run, started(parent=None)).parent is None
    assert follow(begun, row(2, "step.finished")) is begun
    assert not has_ended(begun)
    paused = follow(begun, row(2, "run.paused"))
    assert (paused.status, paused.ended_s, paused.began_s) == ("paused", None, 1.0)
    for end in sorted(RUN_ENDS):
        ended = follow(begun, row(3, end))
        assert has_ended(ended)
        assert (ended.ended_s, ended.blueprint, ended.digest, ended.parent) == (
            3.0, "b", "d", "r_0",
        )  # fmt: skip
    head, _, _ = kept(started(), row(2, "step.progress"), row(3, "run.finished"))
    assert (head.run.status, head.run.ended_s) == ("succeeded", 3.0)


def test_what_is_refused_says_what_was_expected() -> None:
    error: SwarmError = live(RUN, "paused")
    assert isinstance(error, Refused)
    assert (error.code, error.values) == ("run.live", {"run_id": RUN, "status": "paused"})
    assert error.message == "run r_1: expected one that has ended, got one that is paused"
    error = missing_blob("ab")
    assert (error.code, error.message, error.values) == (
        "blob.unknown", "blob ab: expected one that is kept, got none", {"digest": "ab"},
    )  # fmt: skip
    name = hashlib.sha256(b"x").hexdigest()
    assert whole_blob(name, b"x") == b"x"
    with pytest.raises(SwarmError) as damaged:
        whole_blob(name, b"y")
    assert (damaged.value.code, damaged.value.values) == ("blob.damaged", {"digest": name})
    assert damaged.value.message == f"blob {name}: expected bytes of this digest, got others"


def test_a_chain_is_checked_link_by_link() -> None:
    _, entries, _ = kept(started(), row(2), row(3))
    links = [(seq, hash_, body) for _, seq, hash_, body in entries]
    for spoilt, at in (
        ([links[0], (2, links[1][1], b"{}"), links[2]], 2),
        ([links[0], (2, b"", links[1][2]), links[2]], 2),
        ([links[0], links[2]], 2),
        ([links[1]], 1),
    ):
        with pytest.raises(SwarmError) as damaged:
            list(walk(RUN, 0, genesis(RUN), spoilt))
        assert (damaged.value.code, damaged.value.values) == (
            "journal.damaged", {"run_id": RUN, "seq": at},
        )  # fmt: skip
        assert damaged.value.message == (
            f"run r_1 at event {at}: expected what was written, got something else \u2014 "
            "this run is set aside; others are not touched"
        )
    assert [seq for seq, _ in walk(RUN, 1, links[0][1], links[1:])] == [2, 3]
    with pytest.raises(SwarmError):
        list(walk(RunId("r_2"), 0, genesis("r_2"), links))
