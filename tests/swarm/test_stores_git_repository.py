"""A repository by itself: when there is one, what is refused, locks, refs, what was left."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pygit2
import pytest
from pygit2.enums import ConfigLevel

from swarm.errors import SwarmError
from swarm.ports.versions import Contents, File, Note
from swarm.stores.git import GitVersions
from swarm.stores.git import repository as repositories
from swarm.stores.git.repository import RefDamaged, Repository, unwritable

FLOW = {"kind": "seq", "children": []}
CONTENTS = Contents(
    {"swarm": 1, "id": "review", "agents": [], "flow": FLOW},
    {"blueprint.lua": File(b"-- hi\n")},
    "blueprint.lua",
)
NOTE = Note("ada", "because", 1000.0)


async def test_one_that_is_being_made_is_read_as_none_and_finished_by_a_writer(
    tmp_path: Path,
) -> None:
    pygit2.init_repository(tmp_path / "blueprints.git", bare=True)
    (tmp_path / "blueprints.git/HEAD").unlink()  # which comes last
    store = GitVersions(tmp_path)
    assert await store.head("review") is None
    assert await store.draft("review") is None
    assert (await store.verify(), await store.collect()) == ((), 0)
    entry = await store.add(CONTENTS, NOTE, label="1.0.0", expected=None)
    assert await store.head("review") == entry
    store.close()


async def test_one_with_versions_that_has_lost_its_head_is_damaged(tmp_path: Path) -> None:
    store = GitVersions(tmp_path)
    await store.add(CONTENTS, NOTE, label="1.0.0", expected=None)
    store.close()
    (tmp_path / "blueprints.git/HEAD").unlink()
    again = GitVersions(tmp_path)
    with pytest.raises(SwarmError) as refused:
        await again.head("review")
    assert refused.value.code == "version.damaged"
    again.close()


# -- by itself -----------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Repository]:
    """One that was made, without anything in it."""
    repository = Repository(tmp_path / "blueprints.git")
    with repository.locked():
        repository.opened()
    repository.close()
    yield repository
    repository.close()


def commit(repository: Repository, said: str = "x") -> str:
    git = repository.git
    who = pygit2.Signature("ada", "a@x", 1000, 0)
    return str(git.create_commit(None, who, who, said, git.TreeBuilder().write(), []))


def refused(code: str, act: Callable[[], object]) -> str:
    with pytest.raises(SwarmError) as caught:
        act()
    assert caught.value.code == code
    return str(caught.value)


class Times:
    """The module's clock, moved by its own waits; `then` happens at each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wait_s: float | None = None) -> None:
        self.now_s = 5000.0
        self.waits: list[float] = []
        self.then: Callable[[], object] = lambda: None
        self._wait_s = wait_s
        monkeypatch.setattr(repositories, "time", self)

    def time(self) -> float:
        return self.now_s

    monotonic = time

    def sleep(self, seconds: float) -> None:
        assert len(self.waits) < 1000, "it waits for ever"
        self.waits.append(seconds)
        self.now_s += self._wait_s or seconds
        self.then()


ALL_FOLDERS = (
    "", "refs", "refs/blueprints", "refs/drafts", "refs/heads", "refs/tags", "objects",
    "objects/info", "objects/pack",
)  # fmt: skip


@pytest.mark.parametrize("name", ALL_FOLDERS)
def test_one_that_leads_elsewhere_by_a_link_is_refused(
    made: Repository, tmp_path: Path, name: str
) -> None:
    place = made.path / name
    place.mkdir(exist_ok=True)
    _ = made.git
    made.close()
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    said = (
        f"{made.path}: expected a repository that keeps everything in its own folder: "
        f"{name or 'the folder'} is a link"
    )
    for act in (lambda: made.git, made.opened):
        assert refused("version.foreign", act) == said
    # Nor is it finished through the link.
    head = made.path / "HEAD"
    head.unlink()
    assert refused("version.foreign", made.opened) == said
    assert not head.exists()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("objects/info/alternates", "it borrows objects of another"),
        ("commondir", "it is a part of another"),
        ("info/grafts", "its commits have other parents than they say"),
        ("shallow", "its histories are cut off"),
    ],
)
def test_one_that_is_read_together_with_another_is_refused(
    made: Repository, name: str, why: str
) -> None:
    place = made.path / name
    place.parent.mkdir(exist_ok=True)
    place.write_text("")
    for act in (lambda: made.git, made.opened):
        assert refused("version.foreign", act).endswith(f": {why} ({name})")
    place.unlink()
    _ = made.git


def test_a_folder_of_objects_that_is_a_link_is_refused(made: Repository, tmp_path: Path) -> None:
    (made.path / "objects/ab").mkdir()
    _ = made.git
    made.close()
    (tmp_path / "cd").mkdir()
    (made.path / "objects/cd").symlink_to(tmp_path / "cd")
    assert refused("version.foreign", lambda: made.git).endswith(": objects/cd is a link")


def test_one_whose_packs_are_damaged_is_not_opened(made: Repository) -> None:
    for name in ("pack-1.idx", "pack-1.pack"):
        (made.path / "objects/pack" / name).write_bytes(b"x" * 100)
    said = refused("version.damaged", lambda: made.git)
    assert "pack-1.pack: its index is not what was written" in said


@pytest.mark.parametrize("name", ["HEAD", "config", "objects"])
def test_one_that_git_cannot_open_is_damaged_however_often_it_is_asked(
    made: Repository, name: str
) -> None:
    place = made.path / name
    if name == "config":
        place.write_bytes(b"[core\n")
    else:
        place.rename(made.path / "things")
    for _ in range(3):
        said = refused("version.damaged", lambda: made.git)
        assert said.startswith(f"{made.path}: expected a git repository: ")


def test_what_is_let_go_of_is_freed_once_and_opened_again(made: Repository) -> None:
    class Opened:
        freed = 0

        def free(self) -> None:
            self.freed += 1

    first = made.git
    assert made.git is first
    opened: Any = Opened()
    made._opened = opened  # pyright: ignore[reportPrivateUsage]
    made.close()
    made.close()
    assert opened.freed == 1
    assert made.git is not first


@pytest.mark.parametrize("name", ["HEAD", "refs/blueprints", "packed-refs"])
def test_it_is_there_once_something_may_have_been_written(tmp_path: Path, name: str) -> None:
    repository = Repository(tmp_path / "blueprints.git")
    (repository.path / "refs/heads").mkdir(parents=True)
    assert not repository.exists
    (repository.path / name).symlink_to("nowhere")
    assert repository.exists


# -- the lock ------------------------------------------------------------------------------


def is_locked(path: Path) -> bool:
    with path.open() as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_whoever_writes_holds_a_lock_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "not/there"
    repository, lock = Repository(folder / "blueprints.git"), folder / "blueprints.lock"
    before = os.umask(0)
    try:
        with repository.locked():
            assert is_locked(lock)
            assert [name.name for name in folder.iterdir()] == ["blueprints.lock"]
    finally:
        os.umask(before)
    assert stat.S_IMODE(lock.stat().st_mode) == 0o644
    assert not is_locked(lock)
    with pytest.raises(KeyError), repository.locked():
        raise KeyError
    assert not is_locked(lock)


@pytest.mark.parametrize("wrong", ["a link", "a file above"])
def test_where_there_can_be_no_lock_nothing_is_written(tmp_path: Path, wrong: str) -> None:
    folder = tmp_path / "store"
    if wrong == "a link":
        folder.mkdir()
        (folder / "blueprints.lock").symlink_to(tmp_path / "target")
    else:
        folder.write_text("")
    repository = Repository(folder / "blueprints.git")

    def write() -> None:
        with repository.locked():
            raise AssertionError

    said = refused("version.unwritable", write)
    assert said.startswith(f"{repository.path}: expected to write, got: ")
    assert not (tmp_path / "target").exists()


def test_who_waits_for_the_lock_waits_half_a_minute_and_then_says_so(
    made: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = Times(monkeypatch, wait_s=10)
    other = Repository(made.path)

    def write() -> None:
        with other.locked():
            raise AssertionError

    with made.locked():
        said = refused("version.busy", write)
    assert said == (
        f"{made.path}: expected to write within 30 s, but another process holds it — try again"
    )
    assert times.waits == [0.002] * 3

    times.waits.clear()
    with ExitStack() as held:
        held.enter_context(made.locked())
        times.then = held.close
        with other.locked():
            assert times.waits == [0.002]


# -- making it -----------------------------------------------------------------------------


def test_it_is_made_for_its_owner_alone_and_points_at_a_branch(tmp_path: Path) -> None:
    repository = Repository(tmp_path / "blueprints.git")
    before = os.umask(0)
    try:
        git = repository.opened()
    finally:
        os.umask(before)
    assert git.is_bare
    assert stat.S_IMODE(repository.path.stat().st_mode) == 0o700
    assert (repository.path / "HEAD").read_bytes() == b"ref: refs/heads/main\n"
    assert repository.opened() is git
    assert repository.names("refs/heads/") == []
    repository.close()


@pytest.mark.parametrize("head", [None, b"", b"ref: refs/he", "link"])
def test_one_whose_head_is_lost_gets_one_that_names_its_first_branch(
    made: Repository, head: bytes | str | None
) -> None:
    old = made.git
    for name in ("b", "a"):
        made.set_ref(f"refs/heads/{name}", commit(made))
    path = made.path / "HEAD"
    text = path.read_bytes()
    path.unlink()
    if head == "link":
        (made.path / "other").write_bytes(text)
        path.symlink_to("other")
    elif isinstance(head, bytes):
        path.write_bytes(head)
    assert made.opened() is not old
    assert not path.is_symlink()
    assert path.read_bytes() == b"ref: refs/heads/a\n"
    assert not (made.path / "HEAD.fresh").exists()
    assert made.names("refs/heads/") == ["a", "b"]


@pytest.mark.parametrize("head", [b"", b"ref: refs/he", b"x" * 99])
def test_one_without_branches_whose_head_is_lost_names_the_usual_one(
    made: Repository, head: bytes
) -> None:
    path = made.path / "HEAD"
    path.write_bytes(head)
    _ = made.opened()
    assert path.read_bytes() == b"ref: refs/heads/main\n"


def test_what_cannot_be_made_is_told(made: Repository, tmp_path: Path) -> None:
    repository = Repository(tmp_path / "other.git")
    repository.path.write_text("")
    said = refused("version.unwritable", repository.opened)
    assert said == f"{repository.path}: expected to write, got: file exists"


def test_what_is_written_is_on_the_disk_before_it_is_acknowledged(
    made: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    def enable(_settings: object, value: bool) -> None:
        told.append(value)

    monkeypatch.setattr(type(pygit2.settings), "enable_fsync_gitdir", enable)
    made.opened()
    assert told == [True]


def test_settings_of_users_and_machines_are_not_read(
    made: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: Any = pygit2.settings.search_path
    levels = [ConfigLevel.PROGRAMDATA, ConfigLevel.SYSTEM, ConfigLevel.XDG, ConfigLevel.GLOBAL]
    before = [paths[level] for level in levels]
    assert any(before)
    seen: list[list[str]] = []
    real = pygit2.Repository

    def opening(path: str) -> pygit2.Repository:
        seen.append([paths[level] for level in levels])
        raise pygit2.GitError("no")

    monkeypatch.setattr(repositories.pygit2, "Repository", opening)
    refused("version.damaged", lambda: made.git)
    monkeypatch.setattr(repositories.pygit2, "Repository", real)
    assert seen == [["", "", "", ""]]
    assert [paths[level] for level in levels] == before


# -- what killed writers left --------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["tmp_obj_1", "pack/tmp_pack_1", "pack/pack_git2_1", "ab/tmp_obj_1"]
)
def test_temporary_objects_are_swept_away_after_an_hour(made: Repository, name: str) -> None:
    now = time.time()
    left = made.path / "objects" / name
    left.parent.mkdir(exist_ok=True)
    left.write_text("")
    os.utime(left, (now, now - 3590))
    made.sweep()
    assert left.exists()
    os.utime(left, (now, now - 3610))
    keep = left.with_name("obj")
    keep.write_text("")
    os.utime(keep, (now, now - 10_000))
    made.sweep()
    assert (left.exists(), keep.exists()) == (False, True)


@pytest.mark.parametrize("name", ["packed-refs.lock", "refs/heads/a.lock", "refs/tags/r/a.lock"])
def test_locks_are_swept_away(
    made: Repository, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    lock = made.path / name
    lock.parent.mkdir(exist_ok=True, parents=True)
    lock.write_text("")
    os.utime(lock, (0, 0))
    made.sweep()
    assert not lock.exists()
    assert caplog.messages == [f"removed {lock}, which a killed process left"]


@pytest.mark.parametrize(
    ("age_s", "waits"), [(5.0, 0), (1.0, 0), (0.75, 1), (0.5, 2), (0.0, 4), (-9.0, 4)]
)
def test_a_lock_that_is_young_is_waited_for_a_second(
    made: Repository, monkeypatch: pytest.MonkeyPatch, age_s: float, waits: int
) -> None:
    """Age 1 s, or waited 1 s, whichever comes first: a clock that was put back holds nobody."""
    times = Times(monkeypatch, wait_s=0.25)
    lock = made.path / "refs/heads/a.lock"
    lock.write_text("")
    os.utime(lock, (0, times.now_s - age_s))
    made.free("refs/heads/b", "refs/heads/a")
    assert not lock.exists()
    assert times.waits == [0.01] * waits


def test_a_lock_that_its_owner_removes_meanwhile_is_no_more_to_be_told(
    made: Repository, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    times = Times(monkeypatch)
    lock = made.path / "refs/heads/a.lock"
    lock.write_text("")
    os.utime(lock, (0, times.now_s))
    times.then = lock.unlink
    made.free("refs/heads/a")
    assert (times.waits, caplog.messages) == ([0.01], [])


# -- refs ----------------------------------------------------------------------------------

REF = "refs/blueprints/a"


def test_a_ref_names_a_commit_wherever_git_keeps_it(made: Repository) -> None:
    assert made.ref(REF) is None
    first, second = commit(made, "1"), commit(made, "2")
    for one in (first, second):
        made.set_ref(REF, one)
        assert made.ref(REF) == one
    (made.path / REF).unlink()
    (made.path / "packed-refs").write_text(f"# pack-refs with: peeled\n{first} {REF}\n")
    made.close()
    assert made.ref(REF) == first
    made.delete_ref(REF)
    assert made.ref(REF) is None
    assert made.names("refs/blueprints/") == []


@pytest.mark.parametrize("body", [b"", b"x", b"ref: refs/blueprints/b\n", "link", "to nothing"])
def test_a_ref_that_names_no_commit_is_damaged_and_can_be_written_anew(
    made: Repository, body: bytes | str
) -> None:
    good = commit(made)
    made.set_ref("refs/blueprints/b", good)
    path = made.path / REF
    if isinstance(body, bytes):
        path.write_bytes(body)
    else:
        path.symlink_to("b" if body == "link" else "c")
    with pytest.raises(RefDamaged) as caught:
        made.ref(REF)
    assert caught.value.args == (REF,)
    assert made.names("refs/blueprints/") == ["a", "b"]
    made.set_ref(REF, good)
    assert (made.ref(REF), path.is_symlink()) == (good, False)
    assert not (made.path / "refs/blueprints/c").exists()


def test_a_name_that_git_does_not_take_is_no_ref(made: Repository) -> None:
    with pytest.raises(RefDamaged):
        made.ref("refs/blueprints/a..b")


def test_a_ref_in_a_folder_that_is_a_link_is_not_written(made: Repository, tmp_path: Path) -> None:
    good = commit(made)
    made.set_ref("refs/tags/a/x", good)
    (tmp_path / "outside").mkdir()
    (made.path / "refs/tags/b").symlink_to(tmp_path / "outside")
    said = refused("version.foreign", lambda: made.set_ref("refs/tags/b/x", good))
    assert said.endswith(": refs/tags/b is a link")
    assert list((tmp_path / "outside").iterdir()) == []


def test_a_ref_is_written_and_removed_over_locks_that_were_left(made: Repository) -> None:
    good = commit(made)
    (made.path / "refs/blueprints").mkdir()
    for act in (lambda: made.set_ref(REF, good), lambda: made.delete_ref(REF)):
        for name in (REF, *(["packed-refs"] if made.ref(REF) else [])):
            lock = made.path / f"{name}.lock"
            lock.write_text("")
            os.utime(lock, (0, 0))
        act()
    assert made.ref(REF) is None


def test_names_are_those_of_files_and_of_the_packed_ones(made: Repository) -> None:
    good = commit(made)
    for name in ("refs/tags/a/y", "refs/tags/a/x", "refs/tags/b/z", "refs/heads/a"):
        made.set_ref(name, good)
    folder = made.path / "refs/tags/a"
    (folder / "w.lock").write_text("")
    (folder / "below").mkdir()
    (folder / "link").symlink_to(made.path / "refs")
    (folder / "broken").write_text("")
    (made.path / "packed-refs").write_text(
        "# pack-refs with: peeled fully-peeled sorted \n"
        f"{good} refs/heads/q\n{good} refs/tags/a/p\n^{good} refs/tags/a/o\n{good} refs/tags/a/x\n"
    )
    assert made.names("refs/tags/a/") == ["broken", "link", "p", "x", "y"]
    assert made.names("refs/tags/b/") == ["z"]
    assert made.names("refs/heads/") == ["a", "q"]
    assert made.names("refs/nothing/") == []


def test_head_follows_branches_that_are_new_and_no_others(made: Repository) -> None:
    good = commit(made)
    head = made.path / "HEAD"
    for name, first in (("b", "b"), ("c", "b"), ("a", "a")):
        made.show_as_branch(name, good)
        assert head.read_text() == f"ref: refs/heads/{first}\n"
        assert made.ref(f"refs/heads/{name}") == good
    head.write_text("ref: refs/heads/c\n")
    made.show_as_branch("a", commit(made, "y"))
    assert head.read_text() == "ref: refs/heads/c\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "no space left on device"),
        (OSError("It did not move"), "it did not move"),
        (ValueError("Bad"), "bad"),
    ],
)
def test_what_cannot_be_written_says_why(tmp_path: Path, error: Exception, said: str) -> None:
    failed = unwritable(tmp_path, error)
    assert failed.code == "version.unwritable"
    assert str(failed) == f"{tmp_path}: expected to write, got: {said}"


def test_a_ref_that_is_sound_is_never_away(
    made: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who reads meanwhile finds the old one or the new one."""
    first, second = commit(made, "1"), commit(made, "2")
    made.set_ref(REF, first)
    path, seen = made.path / REF, list[str]()
    references: Any = type(made.git.references)
    real = references.create

    def create(self: Any, name: str, target: str, *, force: bool) -> None:
        seen.append(path.read_text().strip())
        real(self, name, target, force=force)

    monkeypatch.setattr(references, "create", create)
    made.set_ref(REF, second)
    assert (seen, made.ref(REF)) == ([first], second)


def test_a_ref_that_git_does_not_see_and_is_there_is_damaged(made: Repository) -> None:
    class Blind:
        references: Mapping[str, Any] = {}

        def free(self) -> None:
            """Hold nothing."""

    made.set_ref(REF, commit(made))
    made.close()
    blind: Any = Blind()
    made._opened = blind  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(RefDamaged):
        made.ref(REF)
    assert made.ref("refs/blueprints/b") is None


def test_what_is_swept_away_is_older_than_an_hour_and_may_be_gone(
    made: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = Times(monkeypatch)
    objects = made.path / "objects"
    for name, age_s in (("tmp_old", 3601), ("tmp_hour", 3600), ("tmp_gone", 9999)):
        (objects / name).write_text("")
        os.utime(objects / name, (0, times.now_s - age_s))
    real = repositories.present

    def present(places: Iterable[Path]) -> Iterator[tuple[Path, os.stat_result]]:
        for place, status in real(places):
            if place.name == "tmp_gone":
                place.unlink()
            yield place, status

    monkeypatch.setattr(repositories, "present", present)
    made.sweep()
    assert [place.name for place in objects.glob("tmp_*")] == ["tmp_hour"]


def test_a_lock_may_go_at_the_last_moment(
    made: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = made.path / "refs/heads/a.lock"
    lock.write_text("")

    class Late(Times):
        def monotonic(self) -> float:
            if self.waits:
                lock.unlink()
            return self.now_s

    times = Late(monkeypatch, wait_s=2)
    os.utime(lock, (0, times.now_s + 10))
    made.free("refs/heads/a")
    assert times.waits == [0.01]
