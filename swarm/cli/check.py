"""`swarm check`: every problem of every blueprint, one a line, on stdout."""

from __future__ import annotations

import json

import anyio
import click

from swarm.cli.blueprints import InvalidBlueprint, look_at
from swarm.cli.exits import Exit, print_result
from swarm.errors import Problem

__all__ = ("command",)


@click.command("check")
@click.argument("blueprints", metavar="BLUEPRINT…", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem.")
def command(blueprints: tuple[str, ...], as_json: bool) -> int:
    """Print every problem of each BLUEPRINT, one a line: `path:line: code: sentence`.

    Exits with 2 if there is any.
    """
    found = [p for name in blueprints for p in anyio.run(_problems, name)]
    for problem in found:
        print_result(json.dumps(_as_json(problem), ensure_ascii=False) if as_json else str(problem))
    return Exit.WRONG if found else Exit.OK


async def _problems(name: str) -> tuple[Problem, ...]:
    try:
        await look_at(name)
    except InvalidBlueprint as e:
        return e.problems
    return ()


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "path": problem.where.file,
        "line": problem.where.line,
        "code": problem.code,
        "message": problem.message,
        "hint": problem.hint,
        "at": problem.at or None,
    }
