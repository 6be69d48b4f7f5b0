"""A problem as the commands print it with `--json`."""

from __future__ import annotations

from typing import Any

from swarm.errors import Problem

__all__ = ("problem_json",)


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
