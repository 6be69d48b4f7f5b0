"""A store looked at from outside: what is counted, and a sentence for each thing that is wrong."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from swarm.ids import RunId
from swarm.stores.sqlite import SqliteStore, open_store
from swarm.stores.sqlite.checkup import Checkup, examine

ONE, TWO = RunId("r_1"), RunId("r_2")


def row(seq: int, **more: Any) -> dict[str, Any]:
    return {"kind": "step.progress", "seq": seq, "time_s": 1.0, **more}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the file of a store with two runs, of three and two events."""
    store = open_store(tmp_path / "s", "normal")
    assert isinstance(store, SqliteStore)
    store.journal.append(ONE, [row(1), row(2), row(3)])
    store.journal.append(TWO, [row(1), row(2)])
    anyio.run(store.journal.commit)
    store.close()
    return tmp_path / "s/journal.db"


def change(file: Path, sql: str) -> None:
    connection = apsw.Connection(str(file))
    connection.execute(sql)
    connection.close()


def test_a_whole_store_has_no_problem(file: Path) -> None:
    before = {path.name: path.read_bytes() for path in file.parent.iterdir()}
    assert examine(file) == Checkup(2, 5, file.stat().st_size, None, ())
    assert {path.name: path.read_bytes() for path in file.parent.iterdir()} == before


def test_what_stands_beside_it_is_counted_and_its_holder_is_told(file: Path) -> None:
    store = open_store(file.parent, "normal")
    size = sum(path.stat().st_size for path in file.parent.glob("journal.db*"))
    assert size > file.stat().st_size
    found = examine(file)
    assert (found.size_bytes, found.holder, found.problems) == (size, os.getpid(), ())
    store.close()


@pytest.mark.parametrize(("said", "holder"), [("", None), ("12\n", 12), ("x", None), ("-5", None)])
def test_the_holder_is_whom_the_lock_names(file: Path, said: str, holder: int | None) -> None:
    (file.parent / "LOCK").write_text(said)
    assert examine(file).holder == holder
    (file.parent / "LOCK").unlink()
    assert examine(file).holder is None


def test_each_run_whose_chain_is_broken_is_named(file: Path) -> None:
    change(file, "update event set body = x'7b7d' where seq = 2")
    found = examine(file)
    assert (found.runs, found.events) == (2, 5)
    assert found.problems == (
        "run r_1: event 2 is not what was written",
        "run r_2: event 2 is not what was written",
    )


def test_pages_that_are_wrong_are_told_ten_at_most(file: Path) -> None:
    change(file, "pragma writable_schema = on; update sqlite_schema set rootpage = 2 "
                 "where name = 'event'")  # fmt: skip
    found = examine(file)
    assert (found.runs, found.events) == (0, 0)
    assert found.problems
    assert len(found.problems) <= 10
    assert all(problem.startswith(f"{file}: ") for problem in found.problems)


@pytest.mark.parametrize("body", [b"no database " * 100, None])
def test_what_is_no_store_is_one_problem(file: Path, body: bytes | None) -> None:
    (file.parent / "LOCK").write_text("12")
    if body is None:
        file.unlink()
    else:
        file.write_bytes(body)
    found = examine(file)
    assert (found.runs, found.events, found.holder, len(found.problems)) == (0, 0, 12, 1)
    assert found.size_bytes == (0 if body is None else len(body))


def test_a_newer_store_is_told_and_not_read(file: Path) -> None:
    change(file, "pragma user_version = 99")
    (said,) = examine(file).problems
    assert said.startswith(f"{file}: expected a store of version ")


def test_to_look_leaves_no_file_open(file: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        examine(file)
    change(file, "update event set body = x'7b7d' where seq = 2")
    examine(file)
    file.write_bytes(b"x" * 5000)
    examine(file)
    assert len(os.listdir("/proc/self/fd")) == before
