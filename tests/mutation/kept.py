"""What was found out about mutants, kept between runs of the check.

A verdict holds for one mutant in one text of what it stands in, a function or a class at the
top of its module: when that changes, it is open again. That tests were added changes nothing
about a mutant that was killed; one that survived, or that ended otherwise than by a test, is
always tried again.
"""

from __future__ import annotations

import ast
import json
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from tests.mutation.mutants import Mutant

__all__ = ("Kept", "Verdict")


class Verdict(NamedTuple):
    """How a mutant ended, and what noticed it."""

    word: str  # "killed", "SURVIVED" or "undecided"
    why: str


class Kept:
    """Verdicts in a file, written after each, beside others who do so."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._found = self._read()

    def verdict(self, mutant: Mutant, source: str) -> Verdict | None:
        """Return what was found out about a mutant of this very module."""
        found = self._found.get(_name(mutant, source))
        return Verdict(*found) if found else None

    def keep(self, mutant: Mutant, source: str, verdict: Verdict) -> None:
        with self._file.with_suffix(".lock").open("w") as lock:
            flock(lock, LOCK_EX)
            self._found = {**self._read(), _name(mutant, source): [*verdict]}
            fresh = self._file.with_suffix(".new")
            fresh.write_text(json.dumps(self._found, indent=1, sort_keys=True))
            fresh.replace(self._file)

    def _read(self) -> dict[str, list[str]]:
        return json.loads(self._file.read_text()) if self._file.exists() else {}


def _name(mutant: Mutant, source: str) -> str:
    first, last = _around(mutant.line, source)
    text = "\n".join(mutant.applied(source).split("\n")[first - 1 : last])
    return f"{mutant.file} {sha256(text.encode()).hexdigest()}"


def _around(line: int, source: str) -> tuple[int, int]:
    """Return the first and the last line of the statement at the top that holds *line*."""
    for node in ast.parse(source).body:
        last = node.end_lineno or node.lineno
        if node.lineno <= line <= last:
            return node.lineno, last
    return line, line
