"""An environment for each contender, below `.bench/`: made once, and again when asked for more.

What cannot be installed is a sentence, not an exception: the others go on without it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bench.roster import Contender

__all__ = ("Environment", "prepare")

_INSTALL_S = 600
_QUIET = ("--quiet", "--disable-pip-version-check", "--no-input")


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a contender runs, or why it does not."""

    python: Path
    problem: str | None = None


def prepare(
    folder: Path, contenders: Iterable[Contender], *, options: tuple[str, ...] = ()
) -> dict[str, Environment]:
    """Return an environment for each contender; *options* are more words for pip."""
    return {one.name: _environment(folder / one.name, one, options) for one in contenders}


def _environment(place: Path, contender: Contender, options: tuple[str, ...]) -> Environment:
    python, stamp = place / "bin" / "python", place / "installed"
    wanted = "\n".join((sys.version, *contender.requirements))
    problem = None
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"preparing {place}", file=sys.stderr, flush=True)
        problem = _ran((sys.executable, "-m", "venv", "--without-pip", "--clear", str(place)))
        problem = problem or _installed(python, (*options, *contender.requirements))
        if problem is None:
            stamp.write_text(wanted)
    local = [word for word in contender.requirements if Path(word).is_dir()]
    if local and problem is None:  # it may have changed since
        again = ("--force-reinstall", "--no-deps", *options, *local)
        problem = _installed(python, again)
    return Environment(python, problem)


def _installed(python: Path, words: tuple[str, ...]) -> str | None:
    pip = (sys.executable, "-m", "pip", "--python", str(python), "install")
    return _ran((*pip, *_QUIET, *words))


def _ran(command: tuple[str, ...]) -> str | None:
    """Return None if *command* ended well, or what it said last."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_INSTALL_S)  # noqa: S603 - our own words
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{type(error).__name__}: {error}"
    if done.returncode == 0:
        return None
    said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in said if line.startswith("ERROR")]
    return (errors or said or [f"exit code {done.returncode}"])[-1]
