"""`swarm audit`: the log of a store on a disk, and what somebody did to it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from swarm.cli.main import invoke
from swarm.core.audit.entries import Growth
from swarm.host.host import Host

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}
RUNS = 7


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with entries, checkpoints after five of them and after all."""
    folder = tmp_path_factory.mktemp("store")

    async def main() -> None:
        async with Host(folder, checkpoint_every=5) as host:
            hello = await host.load(HELLO)
            for number in range(RUNS):
                run = await host.start(hello, run_id=f"r_{number}")
                await run.wait()
            await host.checkpoint()

    anyio.run(main)
    return folder


@pytest.fixture
def store(kept: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(kept, tmp_path / "store"))


def said(capsys: pytest.CaptureFixture[str], store: Path, *arguments: str, code: int = 0) -> str:
    got = invoke(["audit", *arguments, "--store", str(store)])
    out, err = capsys.readouterr()
    assert got == code, out + err
    return out if code < 2 else err


def tampered(store: Path, *statements: str) -> None:
    """Do what whoever has the file can do."""
    db = apsw.Connection(str(store / "journal.db"))
    for trigger in ("audit_stays", "audit_keeps"):
        db.execute(f"drop trigger {trigger}")
    for statement in statements:
        db.execute(statement)
    db.close()


def test_the_log_is_printed(capsys: pytest.CaptureFixture[str], store: Path) -> None:
    lines = said(capsys, store, "log").splitlines()
    assert len(lines) == RUNS
    assert "owner  run.start  allowed  run r_0" in lines[0]
    entries = [json.loads(line) for line in said(capsys, store, "log", "--json").splitlines()]
    assert [entry["no"] for entry in entries] == list(range(1, RUNS + 1))
    one = json.loads(said(capsys, store, "log", "--run", "r_3", "--json"))
    assert (one["no"], one["verb"]) == (4, "run.start")
    assert len(said(capsys, store, "log", "--since", "5").splitlines()) == 2
    assert said(capsys, store, "log", "--run", "r_9") == ""
    said(capsys, store, "log", "--step", "x", code=2)


def test_a_log_that_nobody_touched_is_as_written(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    assert said(capsys, store, "verify") == f"{RUNS} entries, 2 checkpoints: as written\n"
    whole = json.loads(said(capsys, store, "verify", "--json"))
    assert (whole["entries"], whole["checkpoints"], whole["fault"]) == (RUNS, 2, None)


# Not in one statement: a number must be free before another entry has it.
SWAPPED = """
    update audit set no = 90 where no = 2;
    update audit set no = 2 where no = 3;
    update audit set no = 3 where no = 90
"""
TAMPERS = [
    ("update audit set body = cast(replace(body, 'r_3', 'r_X') as blob) where no = 4", 4),
    ("delete from audit where no = 3", 3),
    ("delete from audit where no > 4", 5),
    ("delete from audit", 1),
    ("update audit set no = 100 where no = 2", 2),
    ("update audit set hash = zeroblob(32) where no = 6", 6),
    ("update audit set tree = zeroblob(32) where no = 5", 5),
    (SWAPPED, 2),
]


@pytest.mark.parametrize(("statement", "no"), TAMPERS)
def test_what_was_done_to_the_file_is_named(
    capsys: pytest.CaptureFixture[str], store: Path, statement: str, no: int
) -> None:
    """H45."""
    tampered(store, statement)
    found = json.loads(said(capsys, store, "verify", "--json", code=1))
    assert found["no"] == no, found
    assert said(capsys, store, "verify", code=1).startswith(("entry", "entries"))


def written_anew(store: Path, at: int) -> None:
    """Say something else in an entry, and make everything behind it right."""
    tampered(store)
    db = apsw.Connection(str(store / "journal.db"))
    bodies = [row[0] for row in db.execute("select body from audit order by no")]
    bodies[at - 1] = bodies[at - 1].replace(b"owner", b"nobody")
    growth = Growth()
    for no, hash_, tree, body in map(growth.add, bodies):
        statement = "update audit set hash = ?, tree = ?, body = ? where no = ?"
        db.execute(statement, (hash_, tree, body, no))
    db.close()


@pytest.mark.parametrize("at", range(1, RUNS + 1))
def test_where_a_log_was_written_anew_the_first_entry_is_named(
    capsys: pytest.CaptureFixture[str], store: Path, at: int
) -> None:
    """H45: a fork."""
    written_anew(store, at)
    told = said(capsys, store, "verify", code=1)
    assert told == f"entry {at}: expected what a checkpoint has signed, got another history\n"
    (store / "checkpoints.jsonl").unlink()
    assert "as written" in said(capsys, store, "verify"), "the control: it is a log like others"


def test_a_checkpoint_by_hand_marks_what_is_behind_it(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    (store / "checkpoints.jsonl").unlink()
    wire = json.loads(said(capsys, store, "checkpoint"))
    assert len(wire["marks"]) == 16 * RUNS
    written_anew(store, 3)
    assert said(capsys, store, "verify", code=1).startswith("entry 3: ")


def test_a_cut_end_shows_by_what_was_kept_elsewhere(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    """A9: who can cut the log can cut the file beside it; not the one that is elsewhere."""
    elsewhere = tmp_path / "elsewhere.jsonl"
    said(capsys, store, "checkpoint", "-o", str(elsewhere))
    tampered(store, "delete from audit where no > 5")
    beside = store / "checkpoints.jsonl"
    beside.write_text(beside.read_text().splitlines()[0] + "\n")
    assert "as written" in said(capsys, store, "verify")
    cut = said(capsys, store, "verify", "--checkpoints", str(elsewhere), code=1)
    assert cut.startswith("entries 6 to 7")
    said(capsys, store, "verify", "--checkpoints", "nowhere", code=2)


def test_a_proof_is_checked_without_the_store(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    proof = tmp_path / "proof.json"
    said(capsys, store, "prove", "r_2", "-o", str(proof))
    (key,) = said(capsys, store, "keys").split()
    empty = tmp_path / "empty"
    out = said(capsys, empty, "verify", str(proof), "--key", key)
    assert "run r_2" in out
    assert f"in the log of {RUNS} entries" in out
    assert json.loads(said(capsys, store, "verify", str(proof), "--json"))["fault"] is None
    said(capsys, store, "verify", str(proof), "--key", "00" * 32, code=1)
    proof.write_text(proof.read_text().replace("r_2", "r_3"))
    assert "entry 3" in said(capsys, store, "verify", str(proof), code=1)


def test_what_is_not_in_the_log_is_not_proved(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    assert "r_9" in said(capsys, store, "prove", "r_9", code=2)
    assert "step" in said(capsys, store, "prove", "r_2", "$.x", code=2)


def test_files_that_are_none_of_these_are_sentences(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    said(capsys, tmp_path, "log", code=2)
    said(capsys, store, "verify", "nowhere", code=2)
    (tmp_path / "p").write_text("{}")
    assert "audit.proof" in said(capsys, store, "verify", str(tmp_path / "p"), code=2)
    (store / "checkpoints.jsonl").write_text("{}\n")
    assert "audit.checkpoint" in said(capsys, store, "verify", code=2)


def test_all_of_it_reads_beside_whoever_has_the_store_open(
    capsys: pytest.CaptureFixture[str], store: Path
) -> None:
    async def main() -> None:
        async with Host(store, resume="manual"):
            said(capsys, store, "log")
            said(capsys, store, "verify")
            said(capsys, store, "prove", "r_2")
            said(capsys, store, "checkpoint")

    anyio.run(main)


def test_a_copy_without_its_keys_is_checked_with_keys_that_are_named(
    capsys: pytest.CaptureFixture[str], store: Path, tmp_path: Path
) -> None:
    keys = said(capsys, store, "keys").split()
    proof = str(tmp_path / "proof.json")
    said(capsys, store, "prove", "r_1", "-o", proof)
    (store / "keys.json").unlink()
    others = "checkpoint that this host signed", "one that this key signed"
    for what, another in zip(([], [proof]), others, strict=True):
        told = said(capsys, store, "verify", *what, code=2)
        assert told.startswith(f"keys.file: {store / 'keys.json'}: expected the keys that signed")
        assert told.endswith("found none — swarm audit verify --key HEX\n")
        named = [word for key in keys for word in ("--key", key)]
        assert "expected" not in said(capsys, store, "verify", *what, *named)
        wrong = said(capsys, store, "verify", *what, "--key", "00" * 32, code=1)
        assert f"expected {another}" in wrong.replace("a checkpoint", "checkpoint")
