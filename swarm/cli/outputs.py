"""`swarm runs outputs` and `swarm runs output`: what steps handed over as data."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import cast

import anyio
import click

from swarm.cli.exits import Exit, WrongUse, print_result, print_rows, say
from swarm.cli.runs_view import opened_view
from swarm.cli.stores import checked_store, store_option
from swarm.core.outputs import read_bytes
from swarm.host.outputs import Output, found, outputs_of
from swarm.ports.journal import Row

__all__ = ("output", "outputs")

_DIGITS = len("sha256:") + 12


@click.command("outputs")
@click.argument("run")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def outputs(run: str, store: str | None, as_json: bool) -> int:
    """List what the steps of RUN handed over as data: parts by name, and answers."""

    async def main() -> tuple[Output, ...]:
        async with opened_view(checked_store(store)) as view:
            return outputs_of(cast("list[Row]", await view.events(run)))

    made = anyio.run(main)
    if not as_json:
        digits = max((len(str(one.reference.size)) for one in made), default=0)
        print_rows([_listed(one, digits) for one in made])
        return Exit.OK
    for one in made:
        print_result(json.dumps(one.to_wire(), ensure_ascii=False))
    return Exit.OK


@click.command("output")
@click.argument("run")
@click.argument("which", metavar="NAME|KEY|REF")
@click.option("-o", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write it there.")
@store_option
def output(run: str, which: str, file: Path | None, store: str | None) -> int:
    """Print one output of RUN as it was kept: by its part's name, step's key, or `sha256:…`.

    Where several have one name, the last counts; KEY/NAME is exact.
    """

    async def main() -> tuple[Output, bytes]:
        async with opened_view(checked_store(store)) as view:
            made = found(outputs_of(cast("list[Row]", await view.events(run))), which, run)
            return made, await read_bytes(view.blob, made.reference, run, made.key)

    made, body = anyio.run(main)
    if file is not None:
        _write(file, body)
        say(f"{file}: {len(body)} bytes of {made.ref}")
    elif made.reference.type == "bytes" and sys.stdout.isatty():
        raise WrongUse(f"output {which!r} is bytes, which no terminal can show — -o FILE")
    else:
        click.echo(body, nl=False)
    return Exit.OK


def _write(file: Path, body: bytes) -> None:
    try:
        file.write_bytes(body)
    except OSError as error:
        said = f"{file}: expected a file that can be written, got {error.strerror or error}"
        raise WrongUse(said) from error


def _listed(made: Output, digits: int) -> tuple[str, ...]:
    reference = made.reference
    name = made.name or f"({made.agent})"
    return name, reference.type, f"{reference.size:>{digits}}", made.ref[:_DIGITS], made.key
