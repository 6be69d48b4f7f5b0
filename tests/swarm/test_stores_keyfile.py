"""The key file: refused where others could have had a hand in it, replaced as a whole."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from swarm.core.capability.keys import OVERLAP_S, Keyring, derived
from swarm.errors import Refused
from swarm.stores import keyfile
from swarm.stores.keyfile import KeyFile, MemoryKeys
from tests.swarm.desk import NOW_S, encoded


def opened(path: Path, now_s: float = NOW_S) -> KeyFile:
    return KeyFile(path, lambda: now_s)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    opened(path).keyring()
    return path


def rewritten(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole))


def test_keys_are_made_when_they_are_first_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "store" / "keys.json"
    keys = opened(path)
    assert not path.exists()
    ring = keys.keyring()
    assert path.stat().st_mode & 0o777 == 0o600
    assert opened(path).keyring() == ring


def _secret(raw: bytes) -> Callable[[dict[str, Any]], None]:
    return lambda whole: whole["keys"][0].update(secret=encoded(raw))


def _twice(whole: dict[str, Any]) -> None:
    whole["keys"].insert(0, {**whole["keys"][0], "kid": "other", "retired_s": NOW_S})


WRONG: dict[str, Callable[[dict[str, Any]], None]] = {
    "empty secret": _secret(b""),
    "short secret": _secret(bytes(range(31))),
    "long secret": _secret(bytes(range(33))),
    "default secret": lambda w: w["keys"][0].update(secret="secret"),  # noqa: S106
    "constant secret": _secret(b"s" * 32),
    "secret in hex": lambda w: w["keys"][0].update(secret="ab" * 32),
    "secret of another type": lambda w: w["keys"][0].update(secret=7),
    "secret that is no text of ours": lambda w: w["keys"][0].update(secret="é" * 43),
    "one secret under two names": _twice,
    "no keys": lambda w: w.update(keys=[]),
    "too many keys": lambda w: w.update(keys=w["keys"] * 4),
    "kid": lambda w: w["keys"][0].update(kid="../x"),
    "no current key": lambda w: w["keys"][0].update(retired_s=5),
    "host": lambda w: w.update(host="*"),
    "epoch": lambda w: w.update(epoch=-1),
    "epoch of another type": lambda w: w.update(epoch=1.5),
    "version": lambda w: w.update(v=2),
    "unknown member": lambda w: w.update(admin=True),
    "unknown member of a key": lambda w: w["keys"][0].update(alg="none"),
    "missing member": lambda w: w.pop("host"),
    "times": lambda w: w["keys"][0].update(made_s="now"),
    "witnesses": lambda w: w.update(witnesses=[]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_key_file_that_says_something_wrong_is_refused(path: Path, name: str) -> None:
    """B56, B58: a default or a short secret, and one that two keys share."""
    rewritten(path, WRONG[name])
    secret = json.loads(path.read_text()).get("keys")
    with pytest.raises(Refused) as refused:
        opened(path)
    assert refused.value.code == "keys.file"
    for key in secret or []:
        assert len(str(key["secret"])) < 10 or str(key["secret"]) not in str(refused.value)


def test_a_secret_of_few_different_bytes_is_no_accident(path: Path) -> None:
    rewritten(path, _secret(bytes(range(8)) * 4))
    assert opened(path).keyring().keys
    rewritten(path, _secret(bytes(range(7)) * 4 + bytes(4)))
    with pytest.raises(Refused, match="expected secrets of 32 random bytes, got a short or a weak"):
        opened(path)


def test_keys_in_memory_are_made_once_and_changed_in_place() -> None:
    keys = MemoryKeys(lambda: NOW_S)
    ring = keys.keyring()
    assert ring.current.made_s == NOW_S
    assert keys.keyring() is ring
    changed = keys.change(lambda before: before.rotated(NOW_S + 1))
    assert keys.keyring() is changed
    assert [key.kid for key in changed.keys] == [ring.current.kid, changed.current.kid]
    assert changed.current.kid != ring.current.kid


def test_the_same_file_is_taken_without_the_change(path: Path) -> None:
    rewritten(path, lambda whole: None)
    assert opened(path).keyring().keys


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o660, 0o620, 0o777])
def test_a_file_that_others_can_reach_is_refused(path: Path, mode: int) -> None:
    path.chmod(mode)
    with pytest.raises(Refused, match=f"mode {mode:04o}"):
        opened(path)
    path.chmod(0o400)
    assert opened(path).keyring().keys, "who may only read it himself is fine"


def test_a_link_is_refused_wherever_it_leads(path: Path, tmp_path: Path) -> None:
    for target in (path, tmp_path / "nowhere", Path("/dev/null")):
        link = tmp_path / "folder" / "keys.json"
        link.parent.mkdir(exist_ok=True)
        link.symlink_to(target)
        with pytest.raises(Refused, match="a link"):
            opened(link)
        with pytest.raises(Refused, match="a link"):
            KeyFile.change(_unopened(link), lambda ring: ring)
        link.unlink()


def _unopened(path: Path) -> KeyFile:
    keys = opened(path.with_name("other.json"))
    keys._path = path  # pyright: ignore[reportPrivateUsage] # it became a link meanwhile
    return keys


def test_what_is_no_plain_file_is_refused(tmp_path: Path) -> None:
    folder, pipe = tmp_path / "keys.json", tmp_path / "pipe"
    folder.mkdir()
    os.mkfifo(pipe, 0o600)
    for path in (folder, pipe):
        with pytest.raises(Refused, match="expected a plain file, got something else"):
            opened(path)


def test_garbage_is_refused_and_not_shown(path: Path) -> None:
    for text in (b"", b"{", b"secret-of-mine", b"\xff\xfe", b"[]", b"null", b"{}" * 40_000):
        path.write_bytes(text)
        with pytest.raises(Refused) as refused:
            opened(path)
        assert "secret-of-mine" not in str(refused.value)


def test_a_file_of_somebody_else_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    with pytest.raises(Refused, match="one's own"):
        opened(path)


def test_a_key_that_another_process_took_away_is_gone_here(path: Path) -> None:
    """B40: the file is looked at again once it has changed."""
    keys = opened(path)
    kid = keys.keyring().current.kid
    opened(path).change(lambda ring: ring.without(kid, NOW_S))
    keys._look_at = 0.0  # pyright: ignore[reportPrivateUsage]
    assert keys.keyring().find(kid, NOW_S) is None
    assert keys.keyring().keys


@pytest.mark.parametrize("rewritten", [True, False])
def test_a_file_that_went_wrong_meanwhile_leaves_no_key(path: Path, rewritten: bool) -> None:
    """Its mode alone counts as well: from then on others may have read the secrets."""
    keys = opened(path)
    path.chmod(0o644)
    if rewritten:
        os.utime(path, (1, 1))
    keys._look_at = 0.0  # pyright: ignore[reportPrivateUsage]
    assert keys.keyring().keys == ()
    path.chmod(0o600)
    keys._look_at = 0.0  # pyright: ignore[reportPrivateUsage]
    assert keys.keyring().keys, "and it is back when that is mended"


def test_changes_of_several_processes_are_one_after_the_other(path: Path) -> None:
    script = (
        "import sys, dataclasses; from pathlib import Path; from swarm.stores.keyfile import *\n"
        "keys = KeyFile(Path(sys.argv[1]), lambda: 1)\n"
        "for _ in range(20):\n"
        "    keys.change(lambda r: dataclasses.replace(r, epoch=r.epoch + 1))\n"
    )
    argv = [sys.executable, "-c", script, str(path)]
    children = [subprocess.Popen(argv) for _ in range(3)]  # noqa: S603 - our own script
    assert [child.wait(60) for child in children] == [0, 0, 0]
    assert opened(path).keyring().epoch == 60
    assert sorted(p.name for p in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def test_a_kill_in_the_midst_leaves_the_old_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = path.read_bytes()

    def killed(handle: int) -> None:
        raise OSError(5, "gone")

    monkeypatch.setattr(os, "fsync", killed)
    with pytest.raises(OSError, match="gone"):
        opened(path).change(lambda ring: replace(ring, epoch=9))
    assert path.read_bytes() == before


def test_no_child_inherits_a_handle_on_the_keys(path: Path) -> None:
    """B59."""
    keys = opened(path)

    def change(ring: Keyring) -> Keyring:
        listed = subprocess.run(
            ["/bin/ls", "-l", "/proc/self/fd"], capture_output=True, text=True, check=True,
            close_fds=False,
        ).stdout  # fmt: skip
        assert "keys.json" not in listed
        return ring

    keys.change(change)


# -- the keys themselves ------------------------------------------------------------------


def test_no_two_purposes_have_one_key() -> None:
    secret = Keyring.fresh(NOW_S).current.secret
    infos = ("cap/worker", "cap/operator", "cap/approve", "audit/checkpoint")
    keys = {derived(secret, info) for info in infos}
    assert len(keys | {secret}) == len(infos) + 1
    assert derived(secret, "cap/worker") == derived(secret, "cap/worker")


def test_three_keys_live_at_most_and_each_for_its_overlap() -> None:
    ring = Keyring.fresh(NOW_S)
    ring = ring.rotated(NOW_S + 10).rotated(NOW_S + 20)
    assert [key.lives(NOW_S + 20) for key in ring.keys] == [True] * 3
    with pytest.raises(Refused) as refused:
        ring.rotated(NOW_S + 30)
    assert refused.value.code == "keys.live"
    left = int(OVERLAP_S - 20)
    said = f"{ring.keys[0].kid!r} ends in {left} s, or revoke it"
    assert refused.value.message.endswith(f"got one more \u2014 {said}")
    later = NOW_S + 10 + OVERLAP_S
    assert len(ring.rotated(later).keys) == 3
    assert ring.find(ring.keys[0].kid, later) is None
    assert ring.find(ring.keys[0].kid, later - 1) is not None


def test_revoking_the_current_key_makes_another() -> None:
    ring = Keyring.fresh(NOW_S)
    after = ring.without(ring.current.kid, NOW_S)
    assert after.current.kid != ring.current.kid
    with pytest.raises(Refused) as refused:
        ring.without("nobody", NOW_S)
    assert refused.value.code == "keys.unknown"


def test_a_secret_is_in_no_repr() -> None:
    ring = Keyring.fresh(NOW_S)
    assert repr(ring.current.secret) not in repr(ring)


def test_the_name_of_the_file_is_what_a_store_looks_for() -> None:
    assert keyfile.KEY_FILE == "keys.json"


def test_a_key_file_has_just_so_many_bytes(path: Path) -> None:
    text = path.read_text()
    path.write_text(text + " " * (64 * 1024 - len(text)))
    opened(path).keyring()
    path.write_text(text + " " * (64 * 1024 - len(text) + 1))
    with pytest.raises(Refused, match="expected at most 65536 bytes, got 65537"):
        opened(path).keyring()


def test_a_new_file_is_synced_with_the_folder_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    sync = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.fstat(fd).st_ino)
        sync(fd)

    monkeypatch.setattr(keyfile.os, "fsync", noted)
    path = tmp_path / "keys.json"
    opened(path).keyring()
    assert synced == [path.stat().st_ino, tmp_path.stat().st_ino]


def test_the_file_is_looked_at_twice_a_second_however_often_keys_are_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step that a token guards asks for them."""
    now_s, looked = 1000.0, list[Path]()
    look = os.lstat

    def noted(name: Path) -> os.stat_result:
        looked.append(name)
        return look(name)

    monkeypatch.setattr(keyfile.time, "monotonic", lambda: now_s)
    keys = opened(path)
    monkeypatch.setattr(keyfile.os, "lstat", noted)
    for now_s, times in ((1000.4, 0), (1000.6, 1), (1000.7, 1), (1001.0, 1), (1001.2, 2)):
        keys.keyring()
        assert len(looked) == times, now_s


def test_what_was_changed_here_is_known_here_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keyfile.time, "monotonic", lambda: 100.0)
    keys = KeyFile(path, lambda: 1_000.0)
    before = keys.keyring()
    after = keys.change(lambda ring: ring.rotated(1_000.0))
    assert keys.keyring() == after != before
    assert KeyFile(path, lambda: 1_000.0).keyring() == after
    same = path.stat().st_mtime_ns
    assert keys.change(lambda ring: ring) == after
    assert path.stat().st_mtime_ns == same, "what stays as it is is not written"


# -- when it is looked at, and what stays behind -----------------------------------------------


def test_the_file_is_looked_at_twice_a_second(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 100.0
    monkeypatch.setattr(keyfile.time, "monotonic", lambda: now_s)
    keys = opened(path)
    for _ in range(2):
        epoch = keys.keyring().epoch
        opened(path).change(lambda ring: replace(ring, epoch=ring.epoch + 1))
        now_s += 0.25
        assert keys.keyring().epoch == epoch
        now_s += 0.25
        assert keys.keyring().epoch == epoch + 1


def test_a_file_that_is_gone_and_comes_back_is_told_and_read_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys = opened(path)
    before = keys.keyring()
    away = path.rename(path.with_name("away"))
    keys._look_at = 0.0  # pyright: ignore[reportPrivateUsage]
    assert keys.keyring() == replace(before, keys=())
    (said,) = caplog.messages
    assert said.startswith("signing keys: ")
    assert said.endswith(" \u2014 no token holds until that is mended")
    # The very file that was there.
    away.rename(path)
    keys._look_at = 0.0  # pyright: ignore[reportPrivateUsage]
    assert keys.keyring() == before


def test_to_read_and_to_write_leave_no_file_open(path: Path) -> None:
    keys = opened(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(3):
        keys.change(lambda ring: replace(ring, epoch=ring.epoch + 1))
        keys._look_at = 0.0  # pyright: ignore[reportPrivateUsage]
        keys.keyring()
    path.chmod(0o644)
    with pytest.raises(Refused):
        opened(path)
    assert len(os.listdir("/proc/self/fd")) == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]


def test_what_a_killed_process_left_half_is_in_nobody_s_way(path: Path) -> None:
    path.with_name(f"keys.json.{os.getpid()}.part").write_text("half")
    assert opened(path).change(lambda ring: replace(ring, epoch=7)).epoch == 7
    assert opened(path).keyring().epoch == 7


def test_a_change_is_on_the_disk_with_its_name(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []

    def fsync(handle: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")).name)

    monkeypatch.setattr(os, "fsync", fsync)
    opened(path).change(lambda ring: replace(ring, epoch=7))
    assert synced == [f"keys.json.{os.getpid()}.part", path.parent.name]
    opened(path).change(lambda ring: ring)
    assert len(synced) == 2, "what stays the same is not written"


def test_only_its_owner_reads_what_is_made(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        opened(tmp_path / "a/b/keys.json").keyring()
    finally:
        os.umask(before)
    for made in (tmp_path / "a/b").iterdir():
        assert made.stat().st_mode & 0o777 == 0o600


def test_keys_are_written_as_they_are_read(path: Path) -> None:
    ring = opened(path).keyring()
    whole = json.loads(path.read_text())
    (key,) = whole.pop("keys")
    assert whole == {"v": 1, "host": ring.host, "epoch": ring.epoch, "high_s": ring.high_s,
                     "witnesses": dict(ring.witnesses)}  # fmt: skip
    assert key == {
        "kid": ring.current.kid, "secret": encoded(ring.current.secret), "made_s": NOW_S,
        "retired_s": None,
    }  # fmt: skip


BAD: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda w: w.update(v=2), "the members of a key file, got others"),
    (lambda w: w.update(host="*"), "the name of a host, got something else"),
    (lambda w: w.update(host=5), "the name of a host, got something else"),
    (lambda w: w.update(epoch=-1), "'epoch' and 'high_s' as numbers, got something else"),
    (lambda w: w.update(high_s=True), "'epoch' and 'high_s' as numbers, got something else"),
    (lambda w: w.update(keys=[]), "1 to 3 signing keys, got another number"),
    (lambda w: w.update(keys={}), "1 to 3 signing keys, got another number"),
    (lambda w: w.update(keys=w["keys"] * 4), "1 to 3 signing keys, got another number"),
    (lambda w: w.update(witnesses={"k": 5}), "'witnesses' as an object of texts, got "),
    (lambda w: w.update(keys=[5]), "the members of a signing key, got others"),
    (lambda w: w["keys"][0].update(kid="A"), "a kid of 1 to 16 of a-z and 0-9, got "),
    (lambda w: w["keys"][0].update(kid=5), "a kid of 1 to 16 of a-z and 0-9, got "),
    (lambda w: w["keys"][0].update(made_s=-1), "times as numbers, got something else"),
    (lambda w: w["keys"][0].update(retired_s="x"), "times as numbers, got something else"),
    (lambda w: w["keys"][0].update(retired_s=5), "a current signing key, the last, got none"),
    (_twice, "signing keys that differ, got the same one twice"),
    (
        lambda w: w["keys"].insert(
            0, {**w["keys"][0], "secret": encoded(bytes(range(32))), "retired_s": 5}
        ),
        "signing keys that differ, got the same one twice",
    ),
]


@pytest.mark.parametrize(("change", "said"), BAD)
def test_what_is_wrong_is_told_in_one_sentence(
    path: Path, change: Callable[[dict[str, Any]], Any], said: str
) -> None:
    rewritten(path, change)
    with pytest.raises(Refused) as refused:
        opened(path)
    assert (refused.value.code, refused.value.values) == ("keys.file", {"path": str(path)})
    assert refused.value.message.startswith(f"{path}: expected {said}")


def test_a_number_may_be_nothing(path: Path) -> None:
    rewritten(path, lambda w: w["keys"][0].update(made_s=0))
    rewritten(path, lambda w: w.update(epoch=0, high_s=0))
    assert opened(path).keyring().current.made_s == 0


def test_keys_that_cannot_be_written_name_their_file_and_leave_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = opened(path)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as error:
        keys.change(lambda ring: replace(ring, epoch=7))
    assert error.value.filename == str(path)
    assert path.read_bytes() == before
    assert sorted(one.name for one in path.parent.iterdir()) == ["keys.json", "keys.json.lock"]
