"""`swarm build`: a blueprint as its canonical JSON document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import anyio
import click

from swarm.cli.blueprints import look_at
from swarm.cli.exits import Exit, WrongUse, print_result

__all__ = ("command",)


@click.command("build")
@click.argument("blueprint")
@click.option("-o", "--output", metavar="FILE", help="Write the document there instead.")
def command(blueprint: str, output: str | None) -> int:
    """Print BLUEPRINT as its canonical JSON document, references expanded."""
    document = anyio.run(_document, blueprint)
    text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
    if output is None:
        print_result(text)
        return Exit.OK
    try:
        Path(output).write_text(text + "\n", encoding="utf-8")
    except OSError as e:
        raise WrongUse(f"--output: cannot write {output!r}: {(e.strerror or '').lower()}") from None
    return Exit.OK


async def _document(name: str) -> Any:
    return (await look_at(name)).document
