"""A store of versions that can be harmed: what the faults and the campaigns share."""

from __future__ import annotations

import os
import shutil
import subprocess
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from swarm.blueprint.selector import parse_selector
from swarm.errors import SwarmError
from swarm.ports.versions import Contents, Entry, File, Note
from swarm.stores.git import GitVersions

__all__ = ("World", "contents", "git", "note", "refused")


def contents(said: str = "hi", *, id: str = "review", **files: bytes) -> Contents:
    flow = {"kind": "seq", "children": []}
    document = {"swarm": 1, "id": id, "agents": [], "description": said, "flow": flow}
    own = {"blueprint.lua": File(f"-- {said}\n".encode())}
    more = {name.replace("__", "/"): File(body) for name, body in files.items()}
    return Contents(document, {**own, **more}, "blueprint.lua")


def note(at_s: float = 1000.0, *, author: str = "ada", reason: str = "because") -> Note:
    return Note(author, reason, at_s)


def git(repository: Path, *arguments: str, check: bool = True) -> str:
    """Ask the plain client."""
    done = subprocess.run(  # noqa: S603 - our own words
        ["git", "-c", "safe.directory=*", "-C", str(repository), *arguments],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull},
    )
    said = done.stdout + done.stderr
    assert not check or done.returncode == 0, f"git {arguments}: {said}"
    return said.strip()


async def refused(code: str, act: Any) -> SwarmError:
    """Expect a refusal with this code."""
    found: SwarmError | None = None
    got: Any = None
    try:
        got = await act
    except SwarmError as error:
        found = error
    assert found is not None, f"expected {code}, got {got!r}"
    assert found.code == code, f"expected {code}, got {found.code}: {found}"
    assert "\n" not in found.message
    return found


class World:
    """A folder with a store in it; *store* may be opened anew, as another process would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "blueprints.git"
        self.store = GitVersions(folder)

    def close(self) -> None:
        self.store.close()

    def anew(self) -> GitVersions:
        self.store.close()
        self.store = GitVersions(self.folder)
        return self.store

    async def add(self, said: str, *, id: str = "review", **files: bytes) -> Entry:
        """Put something behind the newest entry."""
        head = await self.store.head(id)
        label, behind = ("1.0.0", None) if head is None else (f"1.{head.number}.0", head.commit)
        put = contents(said, id=id, **files)
        return await self.store.add(put, note(), label=label, expected=behind)

    async def filled(self, *said: str, id: str = "review") -> list[Entry]:
        return [await self.add(word, id=id) for word in said]

    async def find(self, selector: str) -> Entry:
        return await self.store.find(parse_selector(selector))

    # -- what lies on the disk -----------------------------------------------------------

    def place(self, oid: str) -> Path:
        return self.path / "objects" / oid[:2] / oid[2:]

    def oid(self, name: str) -> str:
        return git(self.path, "rev-parse", name)

    def loose(self) -> Iterator[Path]:
        for folder in (self.path / "objects").glob("??"):
            yield from folder.iterdir()

    def spoil(self, oid: str, how: str) -> None:
        """Harm a loose object."""
        place = self.place(oid)
        body = place.read_bytes()
        whole = zlib.decompress(body)
        ways = {
            "truncated": body[: len(body) // 2],
            "short": body[:-1],
            "empty": b"",
            "garbage": os.urandom(len(body)),
            "flipped": body[:-6] + bytes([body[-6] ^ 1]) + body[-5:],
            "swapped": zlib.compress(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:]),
            "longer": body + b"more",
        }
        place.chmod(0o644)
        place.write_bytes(ways[how])
        place.chmod(0o444)

    def write_ref(self, name: str, text: str) -> None:
        place = self.path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.write_text(text)

    def bytes(self) -> dict[str, bytes]:
        """Everything in the repository."""
        places = (place for place in self.path.rglob("*") if place.is_file())
        return {str(place.relative_to(self.path)): place.read_bytes() for place in places}

    def check_whole(self) -> None:
        """Ask the plain client whether all is well."""
        said = git(self.path, "fsck", "--full", "--strict", "--no-dangling")
        assert "error" not in said, said
        assert "missing" not in said, said

    async def check_linear(self, blueprint: str = "review") -> list[Entry]:
        """Compare the log with what the plain client tells."""
        log = list(await self.store.log(blueprint, limit=100_000))
        assert [entry.number for entry in log] == list(range(len(log), 0, -1))
        told = git(self.path, "rev-list", "--parents", f"refs/blueprints/{blueprint}").splitlines()
        commits = [entry.commit for entry in log]
        chain = [" ".join(pair) for pair in pairwise(commits)]
        assert told == [*chain, commits[-1]]
        return log

    def copied(self, folder: Path) -> World:
        shutil.copytree(self.folder, folder, symlinks=True)
        return World(folder)
