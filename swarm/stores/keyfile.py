"""The signing keys in a file that only its owner can read.

Refused at the start, rather than worked with: a file that others can read or that is
somebody else's, a link, a secret that is short, weak or there twice. It is replaced as a
whole, so a reader sees the old file or the new one, and looked at again once it has
changed: a key that another process took away is gone here within half a second.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import stat
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, TypeAlias

from flowir.door import parse_json
from flowir.errors import FlowError
from swarm.core.capability.chain import decoded
from swarm.core.capability.claims import HOST_ID
from swarm.core.capability.keys import KEY_BYTES, KID, MAX_LIVE, Keyring, SigningKey
from swarm.errors import Refused, SwarmError

__all__ = ("KEY_FILE", "KeyFile", "MemoryKeys")

_LOGGER = logging.getLogger(__name__)

KEY_FILE: Final = "keys.json"
_MOST_BYTES = 64 * 1024
_LOOK_S = 0.5
# Fewer different bytes in 32 are no accident.
_LEAST_DIFFERENT = 8
# When it was written, which file it is, how long, its mode, whose.
_Stamp: TypeAlias = tuple[int, int, int, int, int]
_MEMBERS = {"v", "host", "epoch", "high_s", "keys", "witnesses"}


class MemoryKeys:
    """Signing keys that live as long as the process; made when they are first asked for."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._keyring: Keyring | None = None

    def keyring(self) -> Keyring:
        """Return the keys as they are now."""
        if self._keyring is None:
            self._keyring = Keyring.fresh(self._wall())
        return self._keyring

    def change(self, act: Callable[[Keyring], Keyring]) -> Keyring:
        """Replace the keys by what *act* makes of them."""
        self._keyring = act(self.keyring())
        return self._keyring


class KeyFile:
    """Signing keys in the file *path*, made when they are first asked for.

    Raises: Refused (keys.file), where there is a file that cannot be trusted.
    """

    def __init__(self, path: Path, wall: Callable[[], float]) -> None:
        self._path = path
        self._wall = wall
        self._keyring: Keyring | None = None
        self._seen: _Stamp | None = None
        self._look_at = 0.0
        if _there(path):
            self._load()

    def keyring(self) -> Keyring:
        """Return the keys as they are now; none, where the file cannot be trusted any more."""
        if self._keyring is None:
            return self.change(lambda keyring: keyring)
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_S
            self._look(self._keyring)
        return self._keyring

    def change(self, act: Callable[[Keyring], Keyring]) -> Keyring:
        """Replace the file by what *act* makes of the keys in it; others wait meanwhile.

        Raises: Refused (keys.file, keys.…); OSError.
        """
        with _locked(self._path):
            old = self._load() if _there(self._path) else None
            new = act(old or Keyring.fresh(self._wall()))
            if new != old:
                _replace(self._path, _to_wire(new))
                self._load()
            return new

    def _look(self, before: Keyring) -> None:
        try:
            if _stamp(os.lstat(self._path)) != self._seen:
                self._load()
        except (OSError, SwarmError) as error:
            _LOGGER.error("signing keys: %s — no token holds until that is mended", error)
            self._seen = None
            self._keyring = replace(before, keys=())

    def _load(self) -> Keyring:
        text, self._seen = _read(self._path)
        self._keyring = _from_wire(self._path, text)
        self._look_at = time.monotonic() + _LOOK_S
        return self._keyring


def _there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _stamp(found: os.stat_result) -> _Stamp:
    return (found.st_mtime_ns, found.st_ino, found.st_size, found.st_mode, found.st_uid)


def _read(path: Path) -> tuple[bytes, _Stamp]:
    """Read the file; what is checked is what was opened, and not a name that may change."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        got = "a link" if path.is_symlink() else str(error)
        raise _refused(path, "a file that can be read", got) from error
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise _refused(path, "a plain file", "something else")
        if found.st_uid != os.geteuid():
            raise _refused(path, "a file of one's own", f"one of user {found.st_uid}")
        if stat.S_IMODE(found.st_mode) & 0o077:
            got = f"mode {stat.S_IMODE(found.st_mode):04o}"
            raise _refused(path, "a file of mode 0600", f"{got} — chmod 600, then rotate")
        if found.st_size > _MOST_BYTES:
            raise _refused(path, f"at most {_MOST_BYTES} bytes", str(found.st_size))
        return os.read(handle, _MOST_BYTES + 1), _stamp(found)
    finally:
        os.close(handle)


def _replace(path: Path, text: bytes) -> None:
    half = path.with_name(f"{path.name}.{os.getpid()}.part")
    half.unlink(missing_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(half, flags, 0o600)
    try:
        os.write(handle, text)
        os.fsync(handle)
    except OSError as error:
        half.unlink()
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        os.close(handle)
    half.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def _locked(path: Path) -> Generator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f"{path.name}.lock")
    handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


# -- its form --------------------------------------------------------------------------


def _to_wire(keyring: Keyring) -> bytes:
    keys = [
        {
            "kid": key.kid,
            "secret": urlsafe_b64encode(key.secret).rstrip(b"=").decode(),
            "made_s": key.made_s,
            "retired_s": key.retired_s,
        }
        for key in keyring.keys
    ]
    whole = {
        "v": 1,
        "host": keyring.host,
        "epoch": keyring.epoch,
        "high_s": keyring.high_s,
        "keys": keys,
        "witnesses": dict(keyring.witnesses),
    }
    return json.dumps(whole, indent=1).encode() + b"\n"


def _from_wire(path: Path, text: bytes) -> Keyring:
    try:
        found = parse_json(text, at="keys")
    except FlowError as error:
        # The sentence may show a part of the text: that is not said here.
        raise _refused(path, "JSON", "something else") from error
    if type(found) is not dict or found.keys() != _MEMBERS or found["v"] != 1:
        raise _refused(path, "the members of a key file", "others")
    if type(found["host"]) is not str or not HOST_ID.fullmatch(found["host"]):
        raise _refused(path, "the name of a host", "something else")
    if not (_number(found["epoch"]) and _number(found["high_s"])):
        raise _refused(path, "'epoch' and 'high_s' as numbers", "something else")
    if type(found["keys"]) is not list or not 1 <= len(found["keys"]) <= MAX_LIVE:
        raise _refused(path, f"1 to {MAX_LIVE} signing keys", "another number")
    witnesses = found["witnesses"]
    if type(witnesses) is not dict or not all(type(v) is str for v in witnesses.values()):
        raise _refused(path, "'witnesses' as an object of texts", "something else")
    keys = tuple(_key(path, key) for key in found["keys"])
    if len({key.secret for key in keys}) < len(keys) or len({key.kid for key in keys}) < len(keys):
        raise _refused(path, "signing keys that differ", "the same one twice")
    if keys[-1].retired_s is not None:
        raise _refused(path, "a current signing key, the last", "none")
    return Keyring(found["host"], keys, found["epoch"], found["high_s"], witnesses)


def _key(path: Path, found: Any) -> SigningKey:
    if type(found) is not dict or found.keys() != {"kid", "secret", "made_s", "retired_s"}:
        raise _refused(path, "the members of a signing key", "others")
    key: Mapping[str, Any] = found
    if type(key["kid"]) is not str or not KID.fullmatch(key["kid"]):
        raise _refused(path, "a kid of 1 to 16 of a-z and 0-9", "something else")
    if not _number(key["made_s"]) or not (key["retired_s"] is None or _number(key["retired_s"])):
        raise _refused(path, "times as numbers", "something else")
    secret = _secret(key["secret"])
    if secret is None or len(secret) != KEY_BYTES or len(set(secret)) < _LEAST_DIFFERENT:
        raise _refused(path, f"secrets of {KEY_BYTES} random bytes", "a short or a weak one")
    return SigningKey(key["kid"], secret, key["made_s"], key["retired_s"])


def _secret(text: Any) -> bytes | None:
    if type(text) is not str:
        return None
    try:
        return decoded(text)
    except ValueError:
        return None


def _number(value: Any) -> bool:
    return type(value) is int and value >= 0


def _refused(path: Path, expected: str, got: str) -> Refused:
    return Refused("keys.file", f"{path}: expected {expected}, got {got}", path=str(path))
