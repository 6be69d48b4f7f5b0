"""Pages that are walked: what stands in one is written, run and compared, from top to bottom.

    a block that begins with a comment that names a file    is that file, from then on
    ```console                                              commands behind `$ `, and their output
    ```python                                               is run, as a notebook runs its cells

In what is printed `…` stands for anything. A command ends with 0, or as a comment behind it
says: `# ends with 3`. One that ends with `&` goes on beside the others until the page ends.
One that asks (`answer> yes`) has a terminal of its own, where the answer is typed; it is left
with Ctrl-C when its block ends. What only looks is looked at again for a while: whoever reads
a page is slower than a program. A page that says 7777 means a port that is free.
"""

from __future__ import annotations

import ast
import inspect
import io
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import anyio

from swarm.cli.main import invoke
from tests.acceptance.curl import stand_in
from tests.acceptance.terminal import Terminal

__all__ = (
    "ROOT",
    "Walk",
    "blocks_of",
    "matches",
    "pages_beside_hello",
    "pages_that_are_walked",
    "walk",
)

ROOT = Path(__file__).parents[2]
_FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_FILE = re.compile(r"(?:--|#) ([\w./-]+\.(?:lua|py|toml|json))(?:  .*)?\n")
_ENDS = re.compile(r"\s+# ends with (\d+)$")
_SHELL = re.compile(r"[|<>&;`]|\$\(|\$[A-Z{]")
_LOOKS = re.compile(r"(cat|swarm runs questions) ")
_ASKS = "answer> "
_BOUND_S = 60
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page."""

    info: str
    text: str
    line: int


def pages_that_are_walked() -> list[Path]:
    return [ROOT / "docs/tutorial.md", *sorted((ROOT / "docs/how-to").glob("*.md"))]


def pages_beside_hello() -> list[Path]:
    """Return those that speak of the first blueprint of the README, as a file that is there."""
    return [ROOT / "docs" / name for name in ("http.md", "operators.md", "versions.md")]


def blocks_of(text: str) -> list[Block]:
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 2)
        for found in _FENCE.finditer(text)
    ]


def matches(expected: str, printed: str) -> bool:
    """Compare what a page shows with what was printed; `…` stands for anything."""
    pattern = ".*".join(map(re.escape, expected.rstrip("\n").split("…")))
    return re.fullmatch(pattern, printed.rstrip("\n"), re.DOTALL) is not None


def walk(page: Path, folder: Path) -> None:
    """Walk a page in a new folder. Raises: AssertionError, with the line of the page."""
    with Walk(folder).within() as walker:
        for block in blocks_of(page.read_text("utf-8")):
            try:
                walker.take(block)
            except Exception as e:
                raise AssertionError(f"{page.name}:{block.line}: {e}") from e


@dataclass
class Walk:
    """One way through a page: where it stands, and what goes on beside it."""

    folder: Path
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})
    beside: list[subprocess.Popen[str]] = field(default_factory=list[subprocess.Popen[str]])
    terminals: list[Terminal] = field(default_factory=list[Terminal])
    port: int = field(default_factory=lambda: _free_port())

    @contextmanager
    def within(self) -> Generator[Walk]:
        before, path, variables = Path.cwd(), list(sys.path), dict(os.environ)
        os.chdir(self.folder)
        os.environ.pop("SWARM_STORE", None)
        os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        if shutil.which("curl") is None:
            os.environ["PATH"] = f"{stand_in(self.folder / '.bin')}:{os.environ['PATH']}"
        os.environ["PYTHONPATH"] = str(ROOT)
        sys.path.insert(0, str(self.folder))
        modules = set(sys.modules)
        try:
            yield self
        finally:
            for terminal in self.terminals:
                terminal.close()
            for process in self.beside:
                process.terminate()
            for process in self.beside:
                _left(process)
            for name in set(sys.modules) - modules:
                if str(getattr(sys.modules[name], "__file__", "")).startswith(str(self.folder)):
                    del sys.modules[name]
            os.chdir(before)
            sys.path[:] = path
            os.environ.clear()
            os.environ.update(variables)

    def take(self, block: Block) -> None:
        text = block.text.replace("7777", str(self.port))
        named = _FILE.match(text)
        if named is not None:
            file = Path(named[1])
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
        elif block.info == "console":
            for command, expected in _commands(text):
                self._run(command, expected)
            while self.terminals:
                assert self.terminals.pop().leave() == 130
        elif block.info == "python":
            self._python(text)
        else:
            assert block.info == "text", f"a block of {block.info} has to name its file"

    def _run(self, command: str, expected: str) -> None:
        ends = _ENDS.search(command)
        command = _ENDS.sub("", command)
        if command.startswith("cd "):
            os.chdir(command[3:])
            return
        if command.endswith(" &"):
            self._start(command[:-2], expected)
            return
        if _ASKS in expected:
            self._answer(command, expected)
            return
        give_up = time.monotonic() + (_BOUND_S if _LOOKS.match(command) else 0)
        while (wrong := _wrong(command, expected, int(ends[1]) if ends else 0)) is not None:
            assert time.monotonic() < give_up, wrong
            time.sleep(_LOOK_S)

    def _answer(self, command: str, expected: str) -> None:
        """Start a command at a terminal, and answer what it asks there."""
        terminal = Terminal(command)
        self.terminals.append(terminal)
        first, *rest = expected.split(_ASKS)
        shown = f"{first}{_ASKS}"
        for number, piece in enumerate(rest, 1):
            terminal.expect(partial(matches, shown))
            terminal.type(piece.partition("\n")[0])
            # The terminal shows what is typed, and the page does.
            shown = f"{piece}{_ASKS}" if number < len(rest) else piece
        terminal.expect(partial(matches, shown))

    def _start(self, command: str, expected: str) -> None:
        """Start a command, and go on once it has said its first lines."""
        process = subprocess.Popen(  # noqa: S602 - the commands are our own pages'
            f"exec {command}", shell=True, text=True, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        self.beside.append(process)
        assert process.stdout is not None
        for line in expected.splitlines():
            said = process.stdout.readline()
            assert matches(line, said), f"expected {line!r}, got {said!r} of {command}"

    def _python(self, text: str) -> None:
        """Run a block as a notebook runs a cell: in a loop that goes on, awaiting if it does."""
        code = compile(text, "page.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)

        async def cell() -> None:
            waits = eval(code, self.names)  # noqa: S307 - it is our own page
            if code.co_flags & inspect.CO_COROUTINE:
                await waits

        anyio.run(cell)


def _commands(text: str) -> Iterator[tuple[str, str]]:
    for piece in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = piece.split("\n")
        last = next(i for i, line in enumerate(lines) if not line.endswith("\\"))
        command = " ".join(line.rstrip("\\").strip() for line in lines[: last + 1])
        yield command, "\n".join(lines[last + 1 :])


def _wrong(command: str, expected: str, ends: int) -> str | None:
    """Do a command; return what is wrong with how it ended, or with what it printed."""
    code, out, err = _done(command)
    said = f"$ {command}\n{out}{err}"
    if code != ends:
        return f"ended with {code}: {said}"
    shown = matches(expected, out) or matches(expected, out + err)
    return None if shown else f"expected\n{expected}{said}"


def _done(command: str) -> tuple[int, str, str]:
    """Do a command: `swarm` alone in this process, anything else in a shell."""
    if command.startswith("swarm ") and not _SHELL.search(command):
        return _invoked(shlex.split(command)[1:])
    done = subprocess.run(  # noqa: S602 - the commands are our own pages'
        command, shell=True, capture_output=True, text=True, check=False,
        timeout=_BOUND_S, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def _invoked(arguments: list[str]) -> tuple[int, str, str]:
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    given, sys.stdin = sys.stdin, io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = invoke(arguments)
    finally:
        sys.stdin = given
    for stream in (out, err):
        stream.flush()
    return code, *(s.buffer.getvalue().decode() for s in (out, err))  # type: ignore[attr-defined]


def _left(process: subprocess.Popen[str]) -> None:
    try:
        process.communicate(timeout=_BOUND_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate(timeout=_BOUND_S)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
