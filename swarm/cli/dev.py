"""`swarm dev`: a server, and a look at each blueprint of a folder whenever it is saved."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import field
from pathlib import Path

import click

from flowir.records import dataclass
from swarm.cli.blueprints import function_option
from swarm.cli.exits import WrongUse, print_lines, say
from swarm.cli.problems import problem_line
from swarm.cli.serve import bind_option, served, serving_host
from swarm.cli.stores import store_option
from swarm.compiler.source import SUFFIXES
from swarm.errors import BlueprintInvalid, SwarmError
from swarm.host.host import Host
from swarm.host.serving import installed

__all__ = ("Watched", "command")

_DAY_S = 86_400


@click.command("dev")
@click.argument("folder", metavar="BLUEPRINT_DIR")
@bind_option
@store_option
@function_option
def command(folder: str, bind: str, store: str | None, functions: tuple[str, ...]) -> int:
    """Serve the store, and compile what is saved in BLUEPRINT_DIR at once.

    Problems go to stdout as those of `swarm check` do: `path:line: code: sentence`. What
    compiles is registered, so that the next run of its id is of what was saved.
    """
    installed()
    if not Path(folder).is_dir():
        raise WrongUse(f"{folder}: expected a folder of blueprints, found none")
    host = serving_host(store, functions)
    watched = Watched(host, Path(folder))
    return served(host, bind, lambda url: _told(url, host), watched.watch)


def _told(url: str, host: Host) -> None:
    token = host.tokens.mint("dev", "senior", ttl_s=_DAY_S)
    file = Path(host.folder or ".") / "dev.token"
    with suppress(FileNotFoundError):
        file.unlink()
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as opened:
        opened.write(f"{token}\n")
    say(f"listening on {url}, with the token in {file}")


@dataclass(slots=True)
class Watched:
    """A folder of blueprints: its own scripts and documents, and what they are made of.

    Shape: `made_of` has the files of what compiled; who changes one of them changes it.
    """

    host: Host
    folder: Path
    made_of: dict[Path, frozenset[Path]] = field(default_factory=dict[Path, frozenset[Path]])

    async def watch(self) -> None:
        """Look at all of it, and then at what is saved."""
        from watchfiles import awatch

        looked = False
        # It wakes without a change too: the first look is taken while it watches already.
        async for changes in awatch(
            self.folder, debounce=200, step=50, rust_timeout=250, yield_on_timeout=True
        ):
            await self.look(self.concerned(changes) if looked else self.blueprints())
            looked = True

    def blueprints(self) -> list[Path]:
        """Return the files that are blueprints by themselves; what lies deeper is theirs."""
        found = (one for one in self.folder.iterdir() if one.suffix in SUFFIXES)
        return sorted(one for one in found if one.is_file())

    def concerned(self, changes: Collection[tuple[object, str]]) -> list[Path]:
        """Return the blueprints that a change is about.

        One that did not compile last may be made of anything.
        """
        if not changes:
            return []
        changed = {Path(path).resolve() for _, path in changes}
        return [
            file
            for file in self.blueprints()
            if file.resolve() in changed or not self.made_of.get(file, changed).isdisjoint(changed)
        ]

    async def look(self, files: Iterable[Path]) -> None:
        """Compile each, and register what compiles."""
        for file in files:
            await self._one(file)

    def _files(self, file: Path, beside: Iterable[str]) -> set[Path]:
        return {file.resolve(), *((self.folder / one).resolve() for one in beside)}

    async def _one(self, file: Path) -> None:
        self.made_of.pop(file, None)
        try:
            compiled = await self.host.load(str(file))
            made = await self.host.blueprints.register(str(file), author="dev", reason="saved")
        except BlueprintInvalid as error:
            for problem in error.problems:
                print_lines(problem_line(problem))
            return
        except SwarmError as error:
            print_lines(f"{file}: {error.code}: {error}")
            return
        self.made_of[file] = frozenset(self._files(file, compiled.files))
        entry = made.entry
        what = "registered" if made.is_new else "as before"
        say(f"{file}: {entry.blueprint}@{entry.label} {what}")
