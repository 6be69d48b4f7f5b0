"""`swarm graph`: a blueprint's flow as a picture."""

from __future__ import annotations

import anyio
import click

from flowir import show
from flowir.nodes import Flow
from swarm.cli.blueprints import look_at
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
def command(blueprint: str, form: str) -> int:
    """Print the flow of BLUEPRINT as a picture."""
    flow = anyio.run(_flow, blueprint)
    print_result(_FORMATS[form](flow).rstrip("\n"))
    return Exit.OK


async def _flow(name: str) -> Flow:
    return (await look_at(name)).flow
