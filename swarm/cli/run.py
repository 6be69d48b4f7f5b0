"""`swarm run`: a blueprint to its end; the final context on stdout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import click

from swarm.cli.asking import Patience, patience_of, wait_option
from swarm.cli.blueprints import function_option, load, opened_host
from swarm.cli.following import Ended, follow, report, signals
from swarm.cli.inputs import first_context
from swarm.cli.stores import chosen_store, store_option

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
@click.option("--json", "as_json", is_flag=True, help="Print run_id, status, ctx and error.")
def command(
    blueprint: str,
    source: str | None,
    settings: tuple[str, ...],
    store: str | None,
    run_id: str | None,
    functions: tuple[str, ...],
    wait: bool,
    as_json: bool,
) -> int:
    """Run BLUEPRINT to its end and print the final context.

    Progress goes to stderr. What the run waits to be told is asked on a terminal; without
    one the command ends, and the run goes on waiting in the store. Exits with 0, 1 where
    the run failed, 2 for wrong use or an invalid blueprint, 3 where it waits for a
    person, 130 where it was interrupted.
    """
    context = first_context(source, settings)
    folder = chosen_store(store, Path(blueprint))
    order = _Order(blueprint, context, functions, run_id, folder, patience_of(wait))
    return report(anyio.run(_run, order), as_json)


async def _run(order: _Order) -> Ended:
    # Listening begins before anything is started that would outlive a signal.
    with signals() as received:
        async with opened_host(order.blueprint, order.functions, order.store) as host:
            blueprint = await load(host, order.blueprint)
            run = await host.start(blueprint, order.context, run_id=order.run_id)
            return await follow(host, run, received, blueprint, patience=order.patience)
