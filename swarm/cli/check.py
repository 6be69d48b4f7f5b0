"""`swarm check`: every problem of every blueprint, one a line, on stdout."""

from __future__ import annotations

import json
from typing import TypeAlias

import anyio
import click

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.blueprints import InvalidBlueprint, look_at
from swarm.cli.exits import Exit, print_lines, print_result, say
from swarm.cli.problems import problem_json, problem_line
from swarm.errors import Problem, Refused

__all__ = ("command",)

TESTS = "_test.lua"


@click.command("check")
@click.argument("blueprints", metavar="BLUEPRINT…", nargs=-1, required=True)
@click.option("--layers", is_flag=True, help="Print which layers stand around which agent.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a problem, or a layer.")
def command(blueprints: tuple[str, ...], layers: bool, as_json: bool) -> int:
    """Print every problem of each BLUEPRINT, one a line: `path:line: code: sentence`.

    A test script (`*_test.lua`) is checked against its blueprint. Exits with 2 if there is
    any problem.
    """
    looked = [anyio.run(_looked, name) for name in blueprints]
    found = [problem for problems, _, _ in looked for problem in problems]
    for problem in found:
        if as_json:
            print_result(json.dumps(problem_json(problem), ensure_ascii=False))
        else:
            print_lines(problem_line(problem))
    if layers:
        for _, blueprint, _ in looked:
            for line in () if blueprint is None else _layers(blueprint, as_json):
                print_result(line) if as_json else print_lines(line)
    refused = [refusal for _, _, refusal in looked if refusal is not None]
    for refusal in refused:
        say(f"{refusal.code}: {refusal}")
    return Exit.WRONG if found or refused else Exit.OK


_Looked: TypeAlias = tuple[tuple[Problem, ...], CompiledBlueprint | None, Refused | None]


async def _looked(name: str) -> _Looked:
    """Return what is wrong with a blueprint, or why there is none of that name.

    One name that is refused hides nothing of the others.
    """
    if name.endswith(TESTS):
        # Who checks blueprints alone does not load what runs tests.
        from swarm.cli.testing_check import mistakes_of

        return await mistakes_of(name), None, None
    try:
        return (), await look_at(name), None
    except InvalidBlueprint as e:
        return e.problems, None, None
    except Refused as refused:
        return (), None, refused


def _layers(blueprint: CompiledBlueprint, as_json: bool) -> list[str]:
    """Return a line for each layer of each agent, outermost first."""
    rows = [
        (blueprint.id, agent, str(use.shelf), use.key, use.origin, dict(use.params))
        for agent, uses in blueprint.layers.items()
        for use in uses
    ]
    if as_json:
        names = ("blueprint", "agent", "shelf", "layer", "origin", "params")
        return [json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) for row in rows]
    head = ("BLUEPRINT", "AGENT", "SHELF", "LAYER", "FROM", "PARAMETERS")
    shown = [head, *((*row[:5], json.dumps(row[5], ensure_ascii=False)) for row in rows)]
    wide = [max(len(row[i]) for row in shown) for i in range(5)]
    return [
        "  ".join((*(cell.ljust(n) for cell, n in zip(row[:5], wide, strict=True)), row[5]))
        for row in shown
    ]
