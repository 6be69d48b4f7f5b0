"""Logs that somebody had a hand in: the first entry that is not what was written is named.

`SWARM_AUDIT` sets how many entries the long log has.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from swarm.blueprint.canonical import canonical_bytes
from swarm.core.audit import entries
from swarm.core.audit.checkpoint import (
    Checkpoint,
    marks_of,
    public_key,
    read_checkpoint,
    signed,
)
from swarm.core.audit.entries import Growth, Kept
from swarm.core.audit.inspect import Fault, Inspected, inspect
from swarm.core.audit.proof import check_proof, make_proof, read_proof
from swarm.core.audit.tree import Tree, subtree
from swarm.core.capability.keys import Keyring
from swarm.errors import Refused, SwarmError
from swarm.ports.audit import AuditEntry

LONG = int(os.environ.get("SWARM_AUDIT", "20000"))
SIZE, EVERY = 60, 10
RING = Keyring.fresh(1_000.0)
KEYS = {public_key(RING.current)}


def entry(number: int, said: str = "") -> AuditEntry:
    detail = {"said": said} if said else {}
    return AuditEntry(float(number), "owner", "run.start", "allowed", f"r_{number}", detail=detail)


class Written:
    """A log as it was written, with checkpoints on the way, each with some marks."""

    def __init__(
        self, size: int = SIZE, said: dict[int, str] | None = None, marks: int = 0
    ) -> None:
        growth = Growth()
        self.rows: list[Kept] = []
        self.checkpoints: list[Checkpoint] = []
        for number in range(1, size + 1):
            self.rows.append(Kept(*growth.add(entry(number, (said or {}).get(number, "")))))
            if number % EVERY == 0:
                told = marks_of(self.rows[number - marks :], number) if marks else b""
                made = signed(RING, number, growth.tree.root, growth.head, 1, told)
                self.checkpoints.append(made)

    def node(self, level: int, number: int) -> bytes:
        row = self.rows[((number + 1) << level) - 1]
        return subtree(row.hash, row.tree, level)


LOG = Written()
# As hosts take them: with the marks of all since the one before.
MARKED = Written(marks=EVERY).checkpoints


def edited(rows: list[Kept], at: int) -> list[Kept]:
    """Say something else in an entry."""
    rows[at] = rows[at]._replace(body=entries.body_of(entry(at + 1, "never")))
    return rows


def edited_with_its_hash(rows: list[Kept], at: int) -> list[Kept]:
    """Say something else, and make all that is kept with it right; the next link breaks."""
    return [*rows[:at], Written(at + 1, {at + 1: "never"}).rows[at], *rows[at + 1 :]]


def edited_up_to_another(rows: list[Kept], at: int) -> list[Kept]:
    """Write three entries anew, so that the break is behind them."""
    return [*rows[:at], *Written(at + 3, {at + 1: "never"}).rows[at:], *rows[at + 3 :]]


def removed(rows: list[Kept], at: int) -> list[Kept]:
    del rows[at]
    return rows


def removed_and_renumbered(rows: list[Kept], at: int) -> list[Kept]:
    del rows[at]
    return [row._replace(no=number) for number, row in enumerate(rows, 1)]


def reordered(rows: list[Kept], at: int) -> list[Kept]:
    rows[at], rows[at + 1] = rows[at + 1]._replace(no=at + 1), rows[at]._replace(no=at + 2)
    return rows


def doubled(rows: list[Kept], at: int) -> list[Kept]:
    rows.insert(at + 1, rows[at])
    return rows


def truncated(rows: list[Kept], at: int) -> list[Kept]:
    return rows[:at]


def forked(rows: list[Kept], at: int) -> list[Kept]:
    """Write everything anew from an entry on, as whoever has the file can."""
    return Written(said={at + 1: "never"}).rows


def retreed(rows: list[Kept], at: int) -> list[Kept]:
    rows[at] = rows[at]._replace(tree=bytes(len(rows[at].tree) or 32))
    return rows


Tamper = Callable[[list[Kept], int], list[Kept]]
# What is done, and by how much the entry that is named may be behind the one that was touched.
TAMPERS: list[tuple[Tamper, int]] = [
    (edited, 0),
    (edited_with_its_hash, 0),
    (edited_up_to_another, 0),
    (removed, 0),
    (removed_and_renumbered, 0),
    (reordered, 0),
    (doubled, 1),
    (truncated, 0),
    (retreed, 0),
]


@pytest.mark.parametrize(("tamper", "behind"), TAMPERS, ids=[t.__name__ for t, _ in TAMPERS])
def test_the_first_entry_that_was_touched_is_named(tamper: Tamper, behind: int) -> None:
    """H45."""
    survived = tried = 0
    for at in range(SIZE - 1):
        fault = inspect(tamper(list(LOG.rows), at), [MARKED], KEYS).fault
        tried += 1
        survived += fault is not None and fault.no == at + 1 + behind
        assert fault is not None, at
        assert fault.no == at + 1 + behind, (at, fault)
    sys.stdout.write(f"{tamper.__name__}: {survived} / {tried}, twin 1\n")
    assert survived == tried
    assert inspect(LOG.rows, [MARKED], KEYS).fault is None


def test_where_nothing_was_signed_the_first_link_that_does_not_hold_is_named() -> None:
    """H45: what was written anew with its link cannot be told from what was not."""
    for at in range(SIZE - 1):
        rows = edited_with_its_hash(list(LOG.rows), at)
        for sources in ([], [LOG.checkpoints], [MARKED[at // EVERY + 2 :]]):
            if sources == [LOG.checkpoints] and at % EVERY == EVERY - 1:
                continue  # A checkpoint comes before the link.
            assert inspect(rows, sources, KEYS).fault == Fault(at + 2, "changed")
        assert inspect(edited(list(LOG.rows), at)).fault == Fault(at + 1, "changed")


def test_what_one_source_has_signed_is_one_history() -> None:
    later = Written(marks=15).checkpoints[1]
    assert (MARKED[0].marked[0], later.marked[0]) == (1, 6)
    rows = edited_up_to_another(list(LOG.rows), 4)
    for source in ([MARKED[0], later], [later, MARKED[0]]):
        assert inspect(rows, [source], KEYS).fault == Fault(5, "forked", 5)
    assert inspect(rows, [[later]], KEYS).fault == Fault(1, "forked", 6)
    # Two sources may be of two histories: as little is told as can be.
    assert inspect(rows, [[later], [MARKED[0]]], KEYS).fault == Fault(1, "forked", 6)


def test_of_signed_marks_that_begin_too_late_a_range_is_told() -> None:
    for at in range(1, EVERY - 2):
        last = at + 3
        few = Written(marks=EVERY - at - 2).checkpoints[:1]
        rows = edited_up_to_another(list(LOG.rows), at)
        assert few[0].marked[0] == last
        assert inspect(rows, [few], KEYS).fault == Fault(1, "forked", last)


def test_of_a_history_written_anew_the_first_lie_is_named() -> None:
    """H45: by the marks of the first checkpoint that does not hold."""
    marked = Written(marks=EVERY).checkpoints
    named = 0
    for at in range(SIZE):
        anew = forked([], at)
        for sources in ([marked], [LOG.checkpoints, marked], [[marked[at // EVERY]]]):
            fault = inspect(anew, sources, KEYS).fault
            alone = len(sources[0]) == 1 and at % EVERY == 0 and at > 0
            low = 1 if alone else at + 1
            assert fault == Fault(low, "forked", at + 1), (at, fault)
            named += low == at + 1
    sys.stdout.write(f"forked: {named} / {3 * SIZE} named, the others as a range, twin 1\n")
    assert inspect(LOG.rows, [marked], KEYS).fault is None


def test_marks_that_do_not_reach_back_leave_the_smallest_range() -> None:
    few = Written(marks=4).checkpoints
    for at in range(SIZE):
        fault = inspect(forked([], at), [few], KEYS).fault
        first, last = at // EVERY * EVERY + 1, at // EVERY * EVERY + 7
        assert fault == (
            Fault(at + 1, "forked", at + 1) if at + 1 > last else Fault(first, "forked", last)
        )


def test_marks_of_another_kind_are_refused() -> None:
    wire = Written(marks=EVERY).checkpoints[1].to_wire()
    assert read_checkpoint(wire).marked[0] == EVERY + 1
    for marks in ("0", "zz" * 8, "00" * 8 * 21, 5, None, "AA" * 8):
        with pytest.raises(Refused) as refused:
            read_checkpoint({**wire, "marks": marks})
        assert refused.value.code == "audit.checkpoint"
    changed = read_checkpoint({**wire, "marks": "00" * 8 * EVERY})
    fault = inspect(LOG.rows, [[changed]], KEYS).fault
    assert fault is not None
    assert fault.sort == "signature", "marks are signed as well"


def test_of_a_history_written_anew_without_marks_a_range_is_named() -> None:
    for at in range(SIZE):
        fault = inspect(forked([], at), [LOG.checkpoints], KEYS).fault
        assert fault is not None
        assert fault.sort == "forked"
        assert fault.until is not None
        assert fault.no <= at + 1 <= fault.until
        assert fault.until - fault.no < EVERY


def test_what_a_chain_cannot_show_checkpoints_do() -> None:
    """The control: without them a cut or a rewritten log looks like one."""
    assert inspect(truncated(list(LOG.rows), 30)).fault is None
    assert inspect(forked([], 30)).fault is None


def test_a_stolen_key_signs_no_other_past() -> None:
    """H46: what was published before it was stolen says how things were."""
    anew = Written(said={5: "never"})
    assert inspect(anew.rows, [anew.checkpoints], KEYS).fault is None, "its own story holds"
    fault = inspect(anew.rows, [anew.checkpoints, [LOG.checkpoints[2]]], KEYS).fault
    assert fault is not None
    assert fault == Fault(1, "forked", 30)
    proof = make_proof([LOG.rows[4]], LOG.checkpoints[2], Written(30).node)
    assert check_proof(proof, KEYS) is None, "and what it proves can be proved still"


def test_sources_that_hold_the_same_checkpoint_vouch_for_one_history() -> None:
    """Of a fork is told as little as can be: what lies behind the last that holds in any."""
    anew = Written(said={25: "never"})
    at = {checkpoint.size: checkpoint for checkpoint in LOG.checkpoints}
    few, many = [at[30]], [at[10], at[20], at[30], at[40]]
    assert inspect(anew.rows, [few], KEYS).fault == Fault(1, "forked", 30)
    assert inspect(anew.rows, [few, many], KEYS).fault == Fault(21, "forked", 30)
    assert inspect(anew.rows, [many, few], KEYS).fault == Fault(21, "forked", 30)
    # One that only knows the history written anew vouches for nothing before it.
    other = [anew.checkpoints[1], anew.checkpoints[2]]
    assert inspect(anew.rows, [few, other], KEYS).fault == Fault(1, "forked", 30)


@pytest.mark.parametrize("member", ["size", "root", "head", "at_s", "host", "kid"])
def test_a_checkpoint_that_was_changed_is_none(member: str) -> None:
    wire = LOG.checkpoints[1].to_wire()
    wire[member] = {"size": 21, "at_s": 2, "host": "h_other000", "kid": "k"}.get(member, "0" * 64)
    fault = inspect(LOG.rows, [[read_checkpoint(wire)]], KEYS).fault
    assert fault is not None
    assert fault.sort == "signature"


def test_a_checkpoint_of_another_key_is_none() -> None:
    other = Keyring.fresh(1.0)
    made = signed(other, 10, bytes(32), bytes(32), 1)
    assert made.holds({public_key(other.current)})
    assert not made.holds(KEYS)
    assert not replace(made, key=next(iter(KEYS))).holds(KEYS)
    assert not replace(made, signature="00" * 64).holds({made.key})


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"v": 1}', "{" * 500, "\ud800", '{"v": 2}']
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read_checkpoint(text)
    assert refused.value.code == "audit.checkpoint"


# -- proofs ------------------------------------------------------------------------------------


def wire_of(numbers: Sequence[int]) -> dict[str, Any]:
    last = LOG.checkpoints[-1]
    rows = [LOG.rows[number - 1] for number in numbers]
    return make_proof(rows, last, LOG.node, LOG.checkpoints[1]).to_wire()


def test_a_proof_stands_by_itself() -> None:
    text = json.dumps(wire_of([7, 23])).encode()
    proof = read_proof(text)
    assert check_proof(proof, KEYS) is None
    assert [entry.no for entry in proof.entries] == [7, 23]
    assert check_proof(proof, set()) is not None, "of no key that is trusted"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"no": 7', '"no": 8'),
        ("r_7", "r_8"),
        ("allowed", "denied_"),
        ('"size": 60', '"size": 59'),
        ('"size": 20', '"size": 19'),
        ('"path": ["', '"path": ["' + "0" * 64 + '", "'),
        (LOG.rows[5].hash.hex(), LOG.rows[6].hash.hex()),
    ],
)
def test_a_proof_that_was_changed_proves_nothing(old: str, new: str) -> None:
    text = json.dumps(wire_of([7]))
    assert old in text
    assert check_proof(read_proof(text.replace(old, new, 1).encode()), KEYS) is not None


def test_a_proof_of_another_history_is_inconsistent_with_what_was_published() -> None:
    anew = Written(said={5: "never"})
    proof = make_proof([anew.rows[6]], anew.checkpoints[-1], anew.node, LOG.checkpoints[1])
    assert "another history" in str(check_proof(proof, KEYS))


CHANGES: list[Callable[[dict[str, Any]], Any]] = [
    lambda w: w.update(v=2),
    lambda w: w.update(entries=[]),
    lambda w: w.update(entries=[{}]),
    lambda w: w.update(extra=1),
    lambda w: w.pop("earlier"),
    lambda w: w.update(earlier=5),
    lambda w: w.update(checkpoint=None),
    lambda w: w["entries"][0].update(path=["zz"]),
    lambda w: w["entries"][0].update(path=["00"]),
    lambda w: w["entries"][0].update(path=["00" * 32] * 65),
    lambda w: w["entries"][0].update(no=True),
    lambda w: w["entries"][0].update(no=0),
    lambda w: w["entries"][0].update(body=7),
    lambda w: w["entries"][0].update(before=7),
    lambda w: w["entries"][0].update(before="00"),
    lambda w: w["entries"][0].pop("before"),
]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_no_proof_is_refused(change: Callable[[dict[str, Any]], Any]) -> None:
    wire = wire_of([7])
    change(wire)
    with pytest.raises(Refused) as refused:
        read_proof(json.dumps(wire).encode())
    assert refused.value.code in ("audit.proof", "audit.checkpoint")


# -- controls, and a long log --------------------------------------------------------------------


def _loose(before: bytes, body: bytes) -> bytes:
    return body[:32].ljust(32)


def test_a_chain_that_does_not_bind_what_came_before_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(entries, "link", _loose)
    log = Written()
    assert inspect(removed_and_renumbered(log.rows, 3)).fault in (None, Fault(4, "tree"))


def test_a_long_log_is_read_in_one_go() -> None:
    growth, rows = Growth(), list[Kept]()
    body = entries.body_of(entry(1, "x" * 60))
    for _ in range(LONG):
        rows.append(Kept(*growth.add(body)))
    before = time.process_time()
    found = inspect(rows)
    taken = time.process_time() - before
    sys.stdout.write(f"{LONG} entries of {len(body)} bytes read in {taken:.2f} s of CPU\n")
    assert (found.size, found.root, found.fault) == (LONG, growth.tree.root, None)


# -- what an entry is written as -----------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"output": "f" * 64},
        {"step": '$.children[0]."ä"\n#2'},
        {"actor": "agent:\u2028\x00\ud7ff"},
        {"at_s": 1e300},
        {"at_s": 5},
        {"attempt": None},
        {"attempt": True},
        {"run": None},
        {"detail": {"b": 1, "a": [2.0]}},
    ],
)
def test_an_entry_is_canonical_json_however_it_is_written(change: dict[str, Any]) -> None:
    made = AuditEntry(1.5, "agent:w", "do", "begun", "r_1", "$.a", 1, "0" * 64)._replace(**change)
    said = {name: value for name, value in made._asdict().items() if value is not None}
    if not made.detail:
        del said["detail"]
    assert entries.body_of(made) == canonical_bytes(said)


@pytest.mark.parametrize(
    "change", [{"at_s": float("nan")}, {"run": "\ud800"}, {"step": "x" * 20_000}, {"actor": b"w"}]
)
def test_what_is_no_entry_is_refused_however_it_is_written(change: dict[str, Any]) -> None:
    made = AuditEntry(1.5, "agent:w", "do", "begun", "r_1", "$.a", 1, "0" * 64)._replace(**change)
    with pytest.raises(SwarmError) as refused:
        entries.body_of(made)
    assert refused.value.code == "audit.malformed"


# -- what was read, beside what is wrong with it -------------------------------------------------


def _upto(size: int) -> tuple[int, bytes, bytes]:
    """Return how many entries were read, the root over them, and the head."""
    growth = Growth()
    for row in LOG.rows[:size]:
        growth.add(row.body)
    return size, growth.tree.root, growth.head


def test_what_was_read_is_told_with_its_checkpoints() -> None:
    assert inspect(LOG.rows) == Inspected(*_upto(60), 0, None)
    assert inspect([]) == Inspected(*_upto(0), 0, None)
    assert inspect(LOG.rows, [LOG.checkpoints], KEYS) == Inspected(*_upto(60), 6, None)
    twice = [LOG.checkpoints, LOG.checkpoints[2:4]]
    assert inspect(LOG.rows, twice, KEYS) == Inspected(*_upto(60), 8, None)


def test_what_was_read_before_a_fault_is_told() -> None:
    checkpoints = [LOG.checkpoints]
    cut = Fault(36, "cut", 40)
    assert inspect(LOG.rows[:35], checkpoints, KEYS) == Inspected(*_upto(35), 3, cut)
    missing = removed(list(LOG.rows), 34)
    assert inspect(missing, checkpoints, KEYS) == Inspected(*_upto(34), 3, Fault(35, "missing"))
    tree = retreed(list(LOG.rows), 34)
    assert inspect(tree, checkpoints, KEYS) == Inspected(*_upto(35), 3, Fault(35, "tree"))
    changed = inspect(edited(list(LOG.rows), 34), checkpoints, KEYS)
    assert (changed.checkpoints, changed.fault) == (3, Fault(35, "changed"))


def test_where_a_checkpoint_is_not_signed_nothing_is_read() -> None:
    nothing = Inspected(0, b"", b"", 0, Fault(20, "signature"))
    spoilt = replace(LOG.checkpoints[1], at_s=2)
    assert inspect(LOG.rows, [LOG.checkpoints, [spoilt]], KEYS) == nothing
    assert inspect(LOG.rows, [[LOG.checkpoints[1]]], set()) == nothing


def test_of_a_log_that_had_not_begun_there_may_be_a_checkpoint() -> None:
    none = signed(RING, 0, Tree().root, entries.GENESIS, 1)
    assert inspect(LOG.rows, [[none]], KEYS) == Inspected(*_upto(60), 1, None)
    assert inspect([], [[none]], KEYS) == Inspected(*_upto(0), 1, None)
    other = signed(RING, 0, Tree().root, bytes(32), 1)
    found = inspect(LOG.rows, [[other], LOG.checkpoints], KEYS)
    assert (found.size, found.checkpoints) == (0, 0)
    assert found.fault is not None
    assert found.fault.sort == "forked"


PLAIN = AuditEntry(1.5, "agent:w", "do", "begun", "r_1", "$.a", 1, "0" * 64)


@pytest.mark.parametrize(
    ("change", "quickly"),
    [
        ({}, True), ({"output": "f" * 64}, True), ({"output": None, "attempt": None}, True),
        ({"run": None, "step": None, "attempt": None, "input": None}, True),
        ({"at_s": 1.0}, False), ({"at_s": 1.25}, True), ({"at_s": 2}, False),
        ({"at_s": 1e15}, False), ({"at_s": 1e15 - 1}, True),
        ({"detail": {"a": 1}}, False), ({"attempt": True}, False), ({"output": 5}, False),
        ({"output": ["a"]}, False), ({"output": 5, "run": None}, True), ({"input": [1]}, False),
        ({"input": 5, "output": "x"}, True), ({"actor": 5}, False), ({"verb": None}, False),
        ({"step": "\ud800"}, False),
    ],
)  # fmt: skip
def test_what_every_encoder_spells_alike_is_written_by_the_quick_one(
    change: dict[str, Any], quickly: bool
) -> None:
    found = entries._written(PLAIN._replace(**change))  # pyright: ignore[reportPrivateUsage]
    assert (found is not None) is quickly
    if found is not None:
        assert found == entries.body_of(PLAIN._replace(**change))
        assert entries.body_of(found) is found, "what is written is not written again"


def test_what_is_too_long_is_left_to_the_encoder_that_says_so() -> None:
    written: Any = entries._written  # pyright: ignore[reportPrivateUsage]
    more = entries.MOST_BYTES - len(written(PLAIN._replace(actor="")))
    assert len(written(PLAIN._replace(actor="x" * more))) == entries.MOST_BYTES
    assert written(PLAIN._replace(actor="x" * (more + 1))) is None
