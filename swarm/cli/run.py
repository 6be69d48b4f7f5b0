"""`swarm run`: a blueprint to its end; the final context on stdout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import click

from flowir.records import dataclass
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.asking import Patience, patience_of, wait_option
from swarm.cli.blueprints import function_option, load, opened_host
from swarm.cli.exits import Exit, say
from swarm.cli.following import Ended, follow, report, signals
from swarm.cli.inputs import first_context
from swarm.cli.stores import chosen_store, store_option
from swarm.host.run import Run
from swarm.lua.process import ScriptProcess

__all__ = ("command",)


@dataclass(frozen=True, slots=True)
class _Order:
    """What to run, and with what."""

    blueprint: str
    context: Any
    functions: tuple[str, ...]
    run_id: str | None
    store: str
    patience: Patience
    record: Path | None
    child: ScriptProcess | None


@click.command("run")
@click.argument("blueprint")
@click.option("--input", "source", metavar="JSON|@FILE|-", help="The first context.")
@click.option(
    "--set",
    "settings",
    metavar="a.b=VALUE",
    multiple=True,
    help="Write into the first context; VALUE is JSON, else a string.",
)
@store_option
@click.option("--run-id", metavar="ID", help="The run's id, instead of a new one.")
@function_option
@wait_option
@click.option("--record", metavar="FILE", help="Keep every answer, without secrets.")
@click.option("--json", "as_json", is_flag=True, help="Print run_id, status, ctx and error.")
@click.pass_obj
def command(
    child: ScriptProcess | None,
    blueprint: str,
    source: str | None,
    settings: tuple[str, ...],
    store: str | None,
    run_id: str | None,
    functions: tuple[str, ...],
    wait: bool,
    record: str | None,
    as_json: bool,
) -> int:
    """Run BLUEPRINT to its end and print the final context.

    Progress goes to stderr. What the run waits to be told is asked on a terminal; without
    one the command ends, and the run goes on waiting in the store. Exits with 0, 1 where
    the run failed, 2 for wrong use or an invalid blueprint, 3 where it waits for a
    person or somebody paused it, 130 where it was interrupted.
    """
    context = first_context(source, settings)
    folder = chosen_store(store, Path(blueprint))
    file = None if record is None else _recording_file(record)
    order = _Order(blueprint, context, functions, run_id, folder, patience_of(wait), file, child)
    ended, trouble = anyio.run(_run, order)
    code = report(ended, as_json)
    if trouble is not None:
        say(trouble)
    return code if trouble is None or code is not Exit.OK else Exit.FAILED


async def _run(order: _Order) -> tuple[Ended, str | None]:
    # Listening begins before anything is started that would outlive a signal.
    with signals() as received:
        async with opened_host(
            order.blueprint, order.functions, order.store, child=order.child
        ) as host:
            blueprint = await load(host, order.blueprint)
            run = await host.start(blueprint, order.context, run_id=order.run_id)
            ended = await follow(host, run, received, blueprint, patience=order.patience)
            if order.record is None:
                return ended, None
            return ended, await _keep(run, blueprint, order.blueprint, order.record)


# What records leans on all that tests do: a run that is not recorded does not load it.


def _recording_file(name: str) -> Path:
    from swarm.cli.recording import checked_file

    return checked_file(name)


async def _keep(run: Run, blueprint: CompiledBlueprint, name: str, file: Path) -> str | None:
    from swarm.cli.recording import keep

    return await keep(run, blueprint, name, file)
