"""Checkpoints as commits under a ref, in a repository that somebody works in."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anyio
import pygit2
import pytest

from swarm.cli.main import invoke
from swarm.errors import Refused
from swarm.host.host import Host
from swarm.stores.git.checkpoints import REF, GitSink, published
from swarm.stores.sqlite.binding import connect
from swarm.stores.sqlite.connection import Source
from swarm.stores.sqlite.writer import Writer

HELLO: dict[str, Any] = {
    "swarm": 1,
    "id": "hello",
    "agents": [],
    "flow": {"kind": "assign", "at": "ctx.said", "value": "'hello'"},
}


def git(folder: Path, *arguments: str) -> str:
    argv = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder), *arguments]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout  # noqa: S603


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository with a work tree in which something is changed and something staged."""
    work = tmp_path / "work"
    work.mkdir()
    git(work, "init", "-q", "-b", "main")
    (work / "a").write_text("1")
    git(work, "add", "a")
    git(work, "commit", "-qm", "first")
    (work / "a").write_text("2")
    (work / "b").write_text("3")
    git(work, "add", "b")
    return work


def test_checkpoints_are_commits_that_touch_no_work_tree(work: Path, tmp_path: Path) -> None:
    before = git(work, "status", "--porcelain=v2", "--branch")

    async def main() -> None:
        sink = GitSink(work)
        async with Host(tmp_path / "store", checkpoints=[sink], checkpoint_every=3) as host:
            hello = await host.load(HELLO)
            for number in range(7):
                await host.start(hello, run_id=f"r_{number}")

    anyio.run(main)
    assert git(work, "status", "--porcelain=v2", "--branch") == before
    assert [json.loads(text)["size"] for text in published(work)] == [6, 3]
    assert git(work, "log", "--format=%s", REF).split("\n")[0] == "checkpoint: 6 entries"
    git(work, "fsck", "--strict")


def test_a_cut_log_shows_by_what_was_pushed(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def main() -> None:
        async with Host(tmp_path / "store", checkpoint_every=0) as host:
            hello = await host.load(HELLO)
            for number in range(4):
                await host.start(hello, run_id=f"r_{number}")

    anyio.run(main)
    at = ["--store", str(tmp_path / "store"), "--git", str(work)]
    assert invoke(["audit", "checkpoint", *at]) == 0
    assert invoke(["audit", "verify", *at]) == 0
    db = connect(str(tmp_path / "store" / "journal.db"))
    db.execute("drop trigger audit_keeps")
    db.execute("delete from audit where no > 2")
    db.close()
    (tmp_path / "store" / "checkpoints.jsonl").unlink()
    capsys.readouterr()
    assert invoke(["audit", "verify", *at]) == 1
    assert capsys.readouterr().out.startswith("entries 3 to 4")


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused) as refused:
        GitSink(tmp_path)
    assert refused.value.code == "audit.repository"
    with pytest.raises(Refused):
        list(published(tmp_path))


@pytest.mark.parametrize("removed", [True, False])
def test_a_log_file_that_was_removed_while_stopped_shows_by_what_was_committed(
    work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *, removed: bool
) -> None:
    """A store without its write-ahead log is whole and short: only a mark outside shows it."""
    found = tmp_path / "found"

    async def main() -> None:
        settings: dict[str, Any] = {"checkpoints": [GitSink(work)], "checkpoint_every": 2}
        async with Host(tmp_path / "store", durability="normal", **settings) as host:
            hello = await host.load(HELLO)
            for number in range(6):
                await (await host.start(hello, run_id=f"r_{number}")).wait()
            # As a host that was killed leaves it.
            shutil.copytree(tmp_path / "store", found)

    anyio.run(main)
    log = found / "journal.db-wal"
    assert log.stat().st_size > 0
    if removed:
        log.unlink()
    (found / "journal.db-shm").unlink(missing_ok=True)
    (found / "checkpoints.jsonl").unlink(missing_ok=True)
    assert Writer(Source(str(found / "journal.db"))).drop() is None, "it opens all the same"
    capsys.readouterr()
    at = ["--store", str(found), "--git", str(work)]
    assert invoke(["audit", "verify", *at]) == (1 if removed else 0)
    said = capsys.readouterr().out
    assert ("it was cut off" in said) == removed
    print(f"A9: {'hostile' if removed else 'benign'} 1 / 1")  # noqa: T201


def _said(size: int) -> dict[str, Any]:
    return {"size": size, "at_s": 1_000_000 + size, "more": "\u00e9"}


def test_each_checkpoint_is_a_commit_behind_the_one_before(work: Path) -> None:
    sink = GitSink(str(work), "refs/audit/other")
    assert anyio.run(sink.latest) is None
    assert list(published(work, "refs/audit/other")) == []
    for size in (1, 2, 3):
        anyio.run(sink.put, _said(size))
        assert anyio.run(sink.latest) == _said(size)
    assert [json.loads(text) for text in published(work, "refs/audit/other")] == [
        _said(3), _said(2), _said(1),
    ]  # fmt: skip
    assert list(published(work)) == [], "under the usual ref there is none"
    repository = pygit2.Repository(str(work))
    commit = repository.references["refs/audit/other"].peel(pygit2.Commit)
    assert (commit.message, len(commit.parents)) == ("checkpoint: 3 entries\n", 1)
    for who in (commit.author, commit.committer):
        assert (who.name, who.email, who.time, who.offset) == (
            "swarm", "audit@swarm.invalid", 1_000_003, 0,
        )  # fmt: skip
    assert [entry.name for entry in commit.tree] == ["checkpoint.json"]
    text = repository[commit.tree["checkpoint.json"].id].peel(pygit2.Blob).data
    assert text == b'{\n "at_s": 1000003,\n "more": "\\u00e9",\n "size": 3\n}\n'
    first = commit.parents[0].parents[0]
    assert first.parents == []


def test_what_was_committed_by_others_under_the_ref_is_told(work: Path) -> None:
    git(work, "update-ref", REF, "HEAD")
    with pytest.raises(Refused) as refused:
        list(published(work))
    assert refused.value.code == "audit.repository"
    assert refused.value.message.startswith(
        f"{work}: expected a git repository with checkpoints that can be read, got: "
    )
    with pytest.raises(Refused):
        anyio.run(GitSink(work).latest)
