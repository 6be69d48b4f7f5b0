"""`swarm run`: a blueprint to its end; the final context on stdout."""

from __future__ import annotations

import json
import signal
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

import anyio
import click
from anyio import CancelScope

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.blueprints import function_option, load, opened_host
from swarm.cli.exits import Exit, print_result, say
from swarm.cli.inputs import first_context
from swarm.cli.progress import watching
from swarm.core.run import RunOutcome
from swarm.host.run import Run

__all__ = ("command",)


@dataclass(frozen=True, slots=True)
class _Order:
    """What to run, and with what."""

    blueprint: str
    context: Any
    functions: tuple[str, ...]
    run_id: str | None
    store: str | None


@dataclass(frozen=True, slots=True)
class _Ended:
    """How it ended, and whether somebody asked for the end."""

    blueprint: CompiledBlueprint
    outcome: RunOutcome
    interrupted: bool


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
@click.option("--store", metavar="DIR", help="The folder that remembers runs; none: nothing does.")
@click.option("--run-id", metavar="ID", help="The run's id, instead of a new one.")
@function_option
@click.option("--json", "as_json", is_flag=True, help="Print run_id, status, ctx and error.")
def command(
    blueprint: str,
    source: str | None,
    settings: tuple[str, ...],
    store: str | None,
    run_id: str | None,
    functions: tuple[str, ...],
    as_json: bool,
) -> int:
    """Run BLUEPRINT to its end and print the final context.

    Progress goes to stderr. Exits with 0, 1 where the run failed, 2 for wrong use or an
    invalid blueprint, 130 where it was interrupted.
    """
    order = _Order(blueprint, first_context(source, settings), functions, run_id, store)
    ended = anyio.run(_run, order)
    _print(ended.outcome, as_json)
    if ended.outcome.error is not None and not ended.interrupted:
        say(_sentence(ended.outcome.error, ended.blueprint))
    return _exit(ended)


async def _run(order: _Order) -> _Ended:
    # Listening begins before anything is started that would outlive a signal.
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with opened_host(order.blueprint, order.functions, order.store) as host:
            blueprint = await load(host, order.blueprint)
            run = await host.start(blueprint, order.context, run_id=order.run_id)
            return await _follow(run, blueprint, signals)


async def _follow(run: Run, blueprint: CompiledBlueprint, signals: AsyncIterator[int]) -> _Ended:
    """Show what happens until the end; the first signal cancels the run, and only it.

    Raises: click.Abort, after a second signal: nobody is waited for.
    """
    interrupts: list[int] = []
    ended: list[RunOutcome] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_cancel_on_signal, signals, run, interrupts, tasks.cancel_scope)
        with watching() as show:
            async for event in run.events():
                show(event)
        ended.append(await run.wait())
        tasks.cancel_scope.cancel()
    if not ended:
        raise click.Abort
    return _Ended(blueprint, ended[0], bool(interrupts))


async def _cancel_on_signal(
    signals: AsyncIterator[int], run: Run, interrupts: list[int], everything: CancelScope
) -> None:
    async for number in signals:
        interrupts.append(number)
        if len(interrupts) > 1:
            everything.cancel()
            return
        say("interrupted: cancelling the run")
        await run.cancel("interrupted")


def _print(outcome: RunOutcome, as_json: bool) -> None:
    if as_json:
        result = {
            "run_id": outcome.run_id,
            "status": outcome.status,
            "ctx": outcome.ctx,
            "error": outcome.error,
        }
        print_result(json.dumps(result, ensure_ascii=False))
    elif outcome.error is None:
        print_result(json.dumps(outcome.ctx, ensure_ascii=False, indent=2))


def _sentence(error: Mapping[str, Any], blueprint: CompiledBlueprint) -> str:
    """Say why the run failed, on the author's line where that is known."""
    place = blueprint.place_of(error["at"] or "$")
    cause = f" ({error['cause_code']})" if error.get("cause_code") else ""
    return f"{place or error['at']}: {error['code']}{cause}: {error['message']}"


def _exit(ended: _Ended) -> Exit:
    if ended.interrupted:
        return Exit.INTERRUPTED
    return Exit.OK if ended.outcome.error is None else Exit.FAILED
