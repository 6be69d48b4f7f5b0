"""`swarm graph`: a blueprint's flow as a picture."""

from __future__ import annotations

import anyio
import click

from flowir import show
from flowir.nodes import Flow
from swarm.cli.blueprints import function_option, load, opened_host
from swarm.cli.exits import Exit, print_result

__all__ = ("command",)

_FORMATS = {"mermaid": show.mermaid, "tree": show.tree, "svg": show.svg}


@click.command("graph")
@click.argument("blueprint")
@click.option(
    "--format",
    "form",
    type=click.Choice(list(_FORMATS)),
    default="mermaid",
    show_default=True,
    help="Mermaid text (as GitHub renders it), an indented tree, or an SVG image.",
)
@function_option
def command(blueprint: str, form: str, functions: tuple[str, ...]) -> int:
    """Print the flow of BLUEPRINT as a picture."""
    flow = anyio.run(_flow, blueprint, functions)
    print_result(_FORMATS[form](flow).rstrip("\n"))
    return Exit.OK


async def _flow(name: str, functions: tuple[str, ...]) -> Flow:
    async with opened_host(name, functions) as host:
        return (await load(host, name)).flow
