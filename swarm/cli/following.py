"""A run that a command follows to its end: shown while it goes on, then reported."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager
from typing import Any

import anyio
import click
from anyio import CancelScope

from flowir.records import dataclass
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.asking import Patience, outlast
from swarm.cli.exits import Exit, print_result, say
from swarm.cli.lines import Lines
from swarm.cli.progress import watching
from swarm.core.run import ENDED, RunOutcome
from swarm.host.host import Host
from swarm.host.run import Run

__all__ = ("Ended", "follow", "goes_on", "report", "signals")


@dataclass(frozen=True, slots=True)
class Ended:
    """How it ended, and whether somebody asked for the end.

    `blueprint` knows the author's lines, where the command loaded it.
    """

    outcome: RunOutcome
    interrupted: bool
    blueprint: CompiledBlueprint | None = None


def signals() -> AbstractContextManager[AsyncIterator[int]]:
    """Receive the signals that ask a command to end."""
    return anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM)


async def follow(
    host: Host,
    run: Run,
    received: AsyncIterator[int],
    blueprint: CompiledBlueprint | None = None,
    *,
    since: int = 0,
    patience: Patience = "leave",
) -> Ended:
    """Show what happens until the end; the first signal ends the run here, and only it.

    A run of a store on disk is interrupted, for `swarm runs resume` to go on with; one
    that nobody could go on with is cancelled.
    *patience*: what to do while the run waits for people; who leaves, leaves it waiting.
    Raises: click.Abort, after a second signal: nobody is waited for.
    """
    interrupts: list[int] = []
    ended: list[RunOutcome] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_on_signal, received, host, run, interrupts, tasks.cancel_scope)
        if await _shown(host, run, since, patience):
            ended.append(await run.wait())
        else:
            ended.append(RunOutcome(run.id, "waiting"))
        tasks.cancel_scope.cancel()
    if not ended:
        raise click.Abort
    return Ended(ended[0], bool(interrupts), blueprint)


async def _shown(host: Host, run: Run, since: int, patience: Patience) -> bool:
    """Show what happens to the end of the run; False: it waits, and we need not."""
    lines = Lines()
    while True:
        waiting = False
        with watching() as show:
            async for event in run.events(since):
                show(event)
                since = event["seq"]
                waiting = event["kind"] == "run.waiting" and run.status == "waiting"
                if waiting:
                    break
        if not waiting:
            return True
        if not await outlast(host, run, since, patience, lines):
            return False


async def _end_on_signal(
    signals: AsyncIterator[int],
    host: Host,
    run: Run,
    interrupts: list[int],
    everything: CancelScope,
) -> None:
    async for number in signals:
        interrupts.append(number)
        if number == signal.SIGINT and sys.stderr.isatty():
            say("")  # the terminal has written `^C` behind whatever stood there
        if len(interrupts) > 1:
            everything.cancel()
            return
        if host.durable:
            say(f"interrupted — {goes_on(run.id)}")
            await run.interrupt()
        else:
            say("interrupted: cancelling the run")
            await run.cancel("interrupted")


def goes_on(run_id: str) -> str:
    """Say which command goes on with a run that rests."""
    return f"swarm runs resume {run_id} goes on with it"


def report(ended: Ended, as_json: bool) -> Exit:
    """Print the result, say why there is none, and return the exit code."""
    outcome = ended.outcome
    _print(outcome, as_json)
    if ended.interrupted:
        return _exit(ended)
    if outcome.status == "waiting":
        say(f"waits for an answer — swarm runs answer, then swarm runs resume {outcome.run_id}")
    elif outcome.error is not None:
        say(_sentence(outcome, outcome.error, ended.blueprint))
    return _exit(ended)


def _print(outcome: RunOutcome, as_json: bool) -> None:
    if as_json:
        result = {
            "run_id": outcome.run_id,
            "status": outcome.status,
            "ctx": outcome.ctx,
            "error": outcome.error,
        }
        print_result(json.dumps(result, ensure_ascii=False))
    elif outcome.status == "succeeded":
        print_result(json.dumps(outcome.ctx, ensure_ascii=False, indent=2))


def _sentence(
    outcome: RunOutcome, error: Mapping[str, Any], blueprint: CompiledBlueprint | None
) -> str:
    """Say why the run failed, on the author's line where that is known, or why it rests."""
    if outcome.status not in ENDED:
        return f"{error['code']}: {error['message']} — {goes_on(outcome.run_id)}"
    place = None if blueprint is None else blueprint.place_of(error["at"] or "$")
    cause = f" ({error['cause_code']})" if error.get("cause_code") else ""
    where = f"{place or error['at']}: " if place or error["at"] else ""
    return f"{where}{error['code']}{cause}: {error['message']}"


def _exit(ended: Ended) -> Exit:
    if ended.interrupted:
        return Exit.INTERRUPTED
    if ended.outcome.status in ("waiting", "paused"):
        return Exit.WAITING  # nothing failed: a person goes on with it, by an answer or a resume
    return Exit.OK if ended.outcome.error is None else Exit.FAILED
