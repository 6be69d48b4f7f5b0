"""Checkpoints, proofs and entries as they are written and read: strictly, each part of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from swarm.blueprint.canonical import canonical_bytes
from swarm.core.audit.checkpoint import (
    Checkpoint,
    marks_of,
    public_key,
    read_checkpoint,
    signed,
    witnessed,
)
from swarm.core.audit.entries import GENESIS, Growth, body_of, entry_of, link
from swarm.core.audit.inspect import Fault
from swarm.core.audit.proof import Proof, check_proof, make_proof, read_proof
from swarm.core.capability.keys import Keyring
from swarm.errors import Refused, SwarmError
from swarm.ports.audit import AuditEntry
from tests.swarm.test_core_audit_inspect import LOG, RING

GOOD = signed(RING, 3, b"r" * 32, b"h" * 32, 12.9, b"m" * 24)
KEYS = {public_key(RING.current)}


def told(act: Callable[[], Any]) -> tuple[str, str]:
    with pytest.raises((Refused, SwarmError)) as refused:
        act()
    return refused.value.code, refused.value.message


# -- checkpoints ---------------------------------------------------------------------------


def test_a_checkpoint_says_what_was_signed() -> None:
    wire = GOOD.to_wire()
    assert {name: wire[name] for name in ("v", "host", "size", "at_s", "kid", "key")} == {
        "v": 1, "host": RING.host, "size": 3, "at_s": 12, "kid": RING.current.kid,
        "key": public_key(RING.current),
    }  # fmt: skip
    assert (GOOD.root, GOOD.head, GOOD.marks) == (
        (b"r" * 32).hex(), (b"h" * 32).hex(), (b"m" * 24).hex(),
    )  # fmt: skip
    assert read_checkpoint(wire) == read_checkpoint(json.dumps(wire)) == GOOD
    assert read_checkpoint(json.dumps(wire).encode()) == GOOD
    assert GOOD.marked == (1, [b"m" * 8] * 3)
    assert replace(GOOD, size=9).marked == (7, [b"m" * 8] * 3)
    assert replace(GOOD, marks="").marked == (4, [])


@pytest.mark.parametrize(
    "changed",
    [
        {"host": "h"}, {"size": 4}, {"root": "0" * 64}, {"head": "0" * 64}, {"at_s": 13},
        {"kid": "k"}, {"marks": ""}, {"signature": "0" * 128}, {"signature": "xyz"},
        {"key": "0" * 64}, {"key": "zz"},
    ],
)  # fmt: skip
def test_a_checkpoint_of_which_anything_is_another_holds_no_more(changed: dict[str, Any]) -> None:
    assert GOOD.holds(KEYS)
    other = replace(GOOD, **changed)
    assert not other.holds(KEYS)
    assert not other.holds({other.key})
    assert not GOOD.holds(())


def test_whoever_signed_is_kept_for_good() -> None:
    ring = witnessed(RING)
    assert ring.witnesses == {RING.current.kid: public_key(RING.current)}
    later = witnessed(ring.rotated(1_000.0))
    assert later.witnesses == {**ring.witnesses, later.current.kid: public_key(later.current)}
    assert len({public_key(Keyring.fresh(1).current), *KEYS}) == 2


def test_marks_are_of_the_latest_entries_up_to_a_number() -> None:
    rows = LOG.rows
    assert marks_of(rows, 3) == b"".join(row.hash[:8] for row in rows[:3])
    assert marks_of(rows[1:], 3) == b"".join(row.hash[:8] for row in rows[1:3])
    many = [rows[0]._replace(no=number) for number in range(1, 1100)]
    assert len(marks_of(many, 1100)) == 8 * 1024


HEX = "expected '{}' as {} hex digits, got something else"
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"v": 2}, "expected the members of a checkpoint, got others"),
    ({"more": 1}, "expected the members of a checkpoint, got others"),
    ({"size": -1}, "expected 'size' as a number, got something else"),
    ({"size": "3"}, "expected 'size' as a number, got something else"),
    ({"size": True}, "expected 'size' as a number, got something else"),
    ({"at_s": 1.5}, "expected 'at_s' as a number, got something else"),
    ({"at_s": -1}, "expected 'at_s' as a number, got something else"),
    ({"root": "0" * 63}, HEX.format("root", 64)),
    ({"root": "A" * 64}, HEX.format("root", 64)),
    ({"head": "0" * 65}, HEX.format("head", 64)),
    ({"head": None}, HEX.format("head", 64)),
    ({"key": "g" * 64}, HEX.format("key", 64)),
    ({"signature": "0" * 64}, HEX.format("signature", 128)),
    ({"marks": "0" * 15}, "expected 'marks' as 16 hex digits for each entry, got something else"),
    ({"marks": "g" * 16}, "expected 'marks' as 16 hex digits for each entry, got something else"),
    ({"marks": 5}, "expected 'marks' as 16 hex digits for each entry, got something else"),
    ({"marks": "0" * 64}, "expected 'marks' of at most 1024 entries that are there, got more"),
    (
        {"marks": "0" * 16 * 1025, "size": 5000},
        "expected 'marks' of at most 1024 entries that are there, got more",
    ),
    ({"host": 5}, "expected 'host' as a text, got something else"),
    ({"kid": None}, "expected 'kid' as a text, got something else"),
]


@pytest.mark.parametrize(("changed", "said"), WRONG)
def test_what_is_no_checkpoint_is_refused_in_one_sentence(
    changed: dict[str, Any], said: str
) -> None:
    wire = {**GOOD.to_wire(), **changed}
    assert told(lambda: read_checkpoint(wire)) == ("audit.checkpoint", f"checkpoint: {said}")


def test_a_checkpoint_has_its_ends() -> None:
    most = {**GOOD.to_wire(), "marks": "0" * 16 * 1024, "size": 1024, "at_s": 0}
    assert read_checkpoint(json.dumps(most)).size == 1024
    empty = {**GOOD.to_wire(), "marks": "", "size": 0}
    assert read_checkpoint(empty).marked == (1, [])
    for text in ("", "[]", b"5", '{"v":1}', " " * (4096 + 2 * 8 * 1024) + "{}"):
        assert told(lambda text=text: read_checkpoint(text))[0] == "audit.checkpoint"
    gone = GOOD.to_wire()
    del gone["kid"]
    assert told(lambda: read_checkpoint(gone))[0] == "audit.checkpoint"


# -- proofs --------------------------------------------------------------------------------

LATE, EARLY = LOG.checkpoints[-1], LOG.checkpoints[0]
PROOF = make_proof([LOG.rows[4], LOG.rows[30]], LATE, LOG.node, EARLY)


def test_a_proof_stands_by_itself_and_reads_as_it_was_written() -> None:
    text = json.dumps(PROOF.to_wire()).encode()
    assert read_proof(text) == PROOF
    assert check_proof(read_proof(text), KEYS) is None
    alone = make_proof([LOG.rows[4]], LATE, LOG.node)
    assert alone.to_wire()["earlier"] is None
    assert read_proof(json.dumps(alone.to_wire()).encode()) == alone
    assert check_proof(alone, KEYS) is None
    assert [entry.no for entry in PROOF.entries] == [5, 31]
    assert [entry.before for entry in PROOF.entries] == [LOG.rows[3].hash, LOG.rows[29].hash]


def test_the_first_entry_hangs_on_what_all_logs_begin_with() -> None:
    proof = make_proof(LOG.rows[:2], LATE, LOG.node)
    assert [entry.before for entry in proof.entries] == [GENESIS, LOG.rows[0].hash]
    assert check_proof(proof, KEYS) is None


@pytest.mark.parametrize("size", [0, LATE.size + 1])
def test_what_is_not_earlier_is_left_out_of_a_proof(size: int) -> None:
    other = replace(EARLY, size=size)
    assert make_proof([LOG.rows[4]], LATE, LOG.node, other).earlier is None
    assert make_proof([LOG.rows[4]], LATE, LOG.node, LATE).earlier == LATE


def test_what_is_wrong_with_a_proof_is_said() -> None:
    first, second = PROOF.entries
    other = signed(Keyring.fresh(1), EARLY.size, b"r" * 32, b"h" * 32, 1)
    signature = "expected one that this key signed, got another"
    history = "earlier checkpoint: expected the beginning of this log, got another history"
    outside = "expected one of the log that was signed, got another"
    for wrong, said in (
        (replace(PROOF, checkpoint=replace(LATE, at_s=9)), f"checkpoint: {signature}"),
        (
            replace(PROOF, entries=(first._replace(body=first.body + " "), second)),
            f"entry 5: {outside}",
        ),
        (replace(PROOF, entries=(first._replace(no=6), second)), f"entry 6: {outside}"),
        (
            replace(PROOF, entries=(first._replace(path=first.path[1:]), second)),
            f"entry 5: {outside}",
        ),
        (replace(PROOF, entries=(second, first._replace(path=second.path))), f"entry 5: {outside}"),
        (replace(PROOF, entries=(first._replace(before=bytes(32)), second)), f"entry 5: {outside}"),
        (replace(PROOF, earlier=other), f"earlier checkpoint: {signature}"),
        (replace(PROOF, since=PROOF.since[1:]), history),
        (replace(PROOF, earlier=LOG.checkpoints[1]), history),
    ):
        assert check_proof(wrong, KEYS) == said
    stranger = Keyring.fresh(1)
    theirs = signed(stranger, EARLY.size, bytes.fromhex(EARLY.root), b"h" * 32, 1)
    both = {*KEYS, public_key(stranger.current)}
    assert check_proof(replace(PROOF, earlier=theirs), both) == f"earlier checkpoint: {signature}"


MEMBERS = "expected the members of a proof, got others"
ENTRY = "expected an entry with number, hash before, text and path, got something else"
PATH = "expected a path of hashes, got something else"
VERSION = "expected version 1 with entries, got something else"
BAD: list[tuple[Callable[[Any], None], str]] = [
    (lambda wire: wire.update(more=1), MEMBERS),
    (lambda wire: wire.pop("earlier"), MEMBERS),
    (lambda wire: wire.update(v=2), VERSION),
    (lambda wire: wire.update(entries=[]), VERSION),
    (lambda wire: wire.update(entries={}), VERSION),
    (lambda wire: wire.update(entries=[5]), "expected an object, got something else"),
    (lambda wire: wire.update(checkpoint=5), "expected an object, got something else"),
    (lambda wire: wire.update(earlier=5), "expected an object, got something else"),
    (lambda wire: wire["entries"][0].update(more=1), ENTRY),
    (lambda wire: wire["entries"][0].update(body=5), ENTRY),
    (lambda wire: wire["entries"][0].update(no=0), "expected the number of an entry, got "),
    (lambda wire: wire["entries"][0].update(no="1"), "expected the number of an entry, got "),
    (lambda wire: wire["entries"][0].update(no=True), "expected the number of an entry, got "),
    (lambda wire: wire["entries"][0].update(before="00" * 31), PATH),
    (lambda wire: wire["entries"][0].update(before=5), PATH),
    (lambda wire: wire["entries"][0].pop("before"), ENTRY),
    (lambda wire: wire["entries"][0].update(path={}), PATH),
    (lambda wire: wire["entries"][0].update(path=[5]), PATH),
    (lambda wire: wire["entries"][0].update(path=["zz"]), PATH),
    (lambda wire: wire["entries"][0].update(path=["00"]), PATH),
    (lambda wire: wire["entries"][0].update(path=["00" * 33]), PATH),
    (lambda wire: wire["entries"][0].update(path=["00" * 32] * 65), PATH),
    (
        lambda wire: wire["earlier"].update(more=1),
        "expected an earlier checkpoint with its path, got something else",
    ),
    (lambda wire: wire["earlier"].update(path=5), PATH),
]


@pytest.mark.parametrize(("spoil", "said"), BAD)
def test_what_is_no_proof_is_refused_in_one_sentence(
    spoil: Callable[[Any], None], said: str
) -> None:
    wire = json.loads(json.dumps(PROOF.to_wire()))
    spoil(wire)
    code, message = told(lambda: read_proof(json.dumps(wire).encode()))
    assert code == "audit.proof"
    assert message.startswith(f"proof: {said}")


def test_a_proof_has_its_ends() -> None:
    wire = json.loads(json.dumps(PROOF.to_wire()))
    wire["entries"][0].update(no=1, path=["00" * 32] * 64)
    read = read_proof(json.dumps(wire).encode())
    assert isinstance(read, Proof)
    assert len(read.entries[0].path) == 64
    for text in (b"", b"[]", b"5"):
        assert told(lambda text=text: read_proof(text))[0] == "audit.proof"


# -- faults and entries --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            Fault(3, "missing"),
            "entry 3: expected it here, got another number \u2014 it was removed",
        ),
        (Fault(3, "tree", 3), "entry 3: expected the hashes of the tree, got others"),
        (
            Fault(3, "forked", 5),
            "entries 3 to 5: expected what a checkpoint has signed, got another history",
        ),
    ],
)
def test_a_fault_is_told_with_where_it_is(fault: Fault, said: str) -> None:
    assert str(fault) == said


ENTRY_ = AuditEntry(12.5, "ada", "run.start", "allowed", "r", "$", 1, "in", "out")
ENTRIES: list[AuditEntry] = [
    ENTRY_,
    ENTRY_._replace(output=None),
    ENTRY_._replace(attempt=None),
    ENTRY_._replace(run=None, step=None, attempt=None, input=None, output=None),
    ENTRY_._replace(detail={"a": [1, None]}),
    ENTRY_._replace(at_s=0.5),
    ENTRY_._replace(at_s=1.0),
    ENTRY_._replace(at_s=1e15),
    ENTRY_._replace(at_s=1e22),
    ENTRY_._replace(at_s=3),
    ENTRY_._replace(run=5, attempt="1"),
    ENTRY_._replace(input=["no", "text"]),
    ENTRY_._replace(actor="\u00e9\n"),
]


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_is_written_one_way_by_both_who_write_it(entry: AuditEntry) -> None:
    said = {
        name: value
        for name, value in zip(AuditEntry._fields, entry, strict=True)
        if value is not None and not (name == "detail" and not value)
    }
    body = body_of(entry)
    assert body == canonical_bytes(said)
    number, hash_, _, kept = Growth().add(entry)
    assert (number, kept, hash_) == (1, body, link(GENESIS, body))
    assert body_of(entry_of(body)) == body


def test_what_is_no_entry_is_told() -> None:
    largest = ENTRY_._replace(detail={"a": "x" * (16 * 1024)})
    size = len(canonical_bytes({"a": largest.detail["a"]}))
    assert told(lambda: body_of(ENTRY_._replace(detail={"a": object()})))[0] == "audit.malformed"
    code, said = told(lambda: body_of(largest))
    assert code == "audit.malformed"
    assert said.startswith("audit: expected at most 16384 bytes of an entry, got ")
    assert size > 16_384
    without = len(body_of(ENTRY_._replace(detail={"a": ""})))
    exact = ENTRY_._replace(detail={"a": "x" * (16_384 - without)})
    assert len(body_of(exact)) == 16_384
    plain = len(body_of(ENTRY_._replace(actor="")))
    assert len(body_of(ENTRY_._replace(actor="x" * (16_384 - plain)))) == 16_384
    assert told(lambda: body_of(ENTRY_._replace(actor="x" * (16_385 - plain))))[0] == (
        "audit.malformed"
    )
    for text in (b"", b"[]", b'{"more":1}', b"5"):
        assert told(lambda text=text: entry_of(text))[0] == "audit.malformed"


def test_a_checkpoint_is_what_it_says_it_is() -> None:
    assert Checkpoint("h", 0, "", "", 0, "", "") == Checkpoint("h", 0, "", "", 0, "", "", "", "")


def test_a_proof_has_just_so_many_bytes() -> None:
    most = 16 * 1024 * 1024
    fits, larger = (told(lambda size=size: read_proof(b" " * size)) for size in (most, most + 1))
    assert (fits[0], larger[0]) == ("audit.proof", "audit.proof")
    assert larger[1].startswith(f"proof: expected a value of at most {most} bytes")
    assert "bytes" not in fits[1]
