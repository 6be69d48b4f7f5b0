"""A problem as the commands print it: a line, or data with `--json`."""

from __future__ import annotations

from typing import Any

from swarm.cli.paper import visible
from swarm.errors import Problem

__all__ = ("problem_json", "problem_line")


def problem_line(problem: Problem) -> str:
    """Return a problem as one line, `path:line: code: sentence`, whatever is in it.

    What is wrong with a file as a whole stands at its first line, where editors show it.
    """
    hint = f" — {problem.hint}" if problem.hint else ""
    where = f"{problem.where.file}:{problem.where.line or 1}"
    return visible(f"{where}: {problem.code}: {problem.message}{hint}")


def problem_json(problem: Problem) -> dict[str, Any]:
    """Return a problem as data."""
    return {
        "path": problem.where.file,
        "line": problem.where.line,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "silence": problem.silence,
        "at": problem.at or None,
    }
