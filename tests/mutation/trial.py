"""One mutant against its tests, in a copy of everything.

What fails with the change has to pass without it: a test that fails either way, since the
machine is busy or since it is broken, has noticed nothing.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.mutation.kept import Verdict
from tests.mutation.mutants import Mutant

__all__ = ("Bench",)

_BOUND_S = 600
# Campaigns need not be long to notice one mutant; both loops would say the same.
_SMALL = {
    "CAMPAIGN_STRIDE": "60",
    "GIT_KILLS": "2",
    "SWARM_ACTS": "1500",
    "SWARM_PROCESS_STEPS": "20",
    "SWARM_TOKENS": "1500",
}
# Its plugin takes a third of a start, and its tests name what they use.
_QUICK = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis", "-k", "not trio")


class Bench:
    """A copy of the sources, in which one line at a time is changed."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self._sound: set[str] = set()

    def verdict(self, mutant: Mutant, source: str, tests: list[str]) -> Verdict:
        """Run *tests* on a mutant of *source*, and once without it what failed."""
        file = self._copy / mutant.file
        _write(file, mutant.applied(source))
        try:
            ended, failed = self._run(tests)
        finally:
            _write(file, source)
        if ended is None:
            # A busy machine does that as well as a mutant.
            return Verdict("undecided", f"no end within {_BOUND_S} s")
        if ended == 0:
            return Verdict("SURVIVED", "nobody noticed")
        if failed is None:
            # Nothing was collected, or the runner itself failed: no test noticed anything.
            return Verdict("undecided", f"the tests ended with {ended}")
        if not self._passes(failed):
            return Verdict("undecided", f"{failed} fails without it as well")
        return Verdict("killed", failed)

    def _passes(self, test: str) -> bool:
        """Tell whether a test passes on the sources as they are, in all of its cases."""
        name = test.partition("[")[0]
        if name not in self._sound and self._run([name])[0] == 0:
            self._sound.add(name)
        return name in self._sound

    def _run(self, tests: list[str]) -> tuple[int | None, str | None]:
        """Return how pytest ended, and the first test, or file of tests, that failed."""
        command = [sys.executable, "-m", "pytest", *_QUICK, *tests]
        environment = {**os.environ, "PYTHONPATH": str(self._copy), **_SMALL}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        try:
            done = subprocess.run(  # noqa: S603 - our own interpreter
                command, cwd=self._copy, env=environment, capture_output=True, text=True,
                check=False, timeout=_BOUND_S,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return None, None
        return done.returncode, _first_failed(done.stdout)


def _first_failed(said: str) -> str | None:
    """Read pytest's summary; above it a test may have logged lines that look the same."""
    _, _, summary = said.rpartition("short test summary info")
    found = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", summary, re.MULTILINE)
    return found[1] if found else None


def _write(file: Path, text: str) -> None:
    """Write a module and forget its bytecode, which knows times by the second only."""
    file.write_text(text, "utf-8")
    for old in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
        old.unlink()
