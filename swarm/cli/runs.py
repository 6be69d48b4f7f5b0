"""`swarm runs`: look at runs, go on with them, stop them, repeat them."""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import click

from swarm.cli.asking import Patience, patience_of, wait_option
from swarm.cli.blueprints import function_option
from swarm.cli.collecting import gc
from swarm.cli.exits import Exit, print_lines, print_result, print_rows, say
from swarm.cli.following import Ended, follow, goes_on, report, signals
from swarm.cli.groups import Verbs
from swarm.cli.inputs import edits
from swarm.cli.letters import done_or_written
from swarm.cli.origin import origin_of
from swarm.cli.outputs import output, outputs
from swarm.cli.paper import columns, folded_for, width_of
from swarm.cli.progress import describe
from swarm.cli.project import find_project, import_functions
from swarm.cli.questions import answer, questions
from swarm.cli.runs_timeline import Timeline, drawn
from swarm.cli.runs_view import View, opened_view
from swarm.cli.stores import checked_store, opened_store, store_option
from swarm.core.events import RUN_ENDS, Event
from swarm.core.run import ENDED, TRANSITIONS, RunOutcome, next_status
from swarm.core.watching import Wanted
from swarm.host.host import Host
from swarm.host.lists import MOST
from swarm.host.run import Run
from swarm.ids import ISSUE, RunId
from swarm.ports.journal import RunRow

__all__ = ("command",)

# How often a run of another process is looked at.
_LOOK_S = 0.25
_COLOURS = {"✓": "green", "✗": "red", "▸": "cyan", "~": "yellow"}

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("runs", cls=Verbs)
def command() -> None:
    """List, show, resume, pause, cancel and repeat runs; answer questions, read outputs."""


command.add_command(questions)
command.add_command(answer)
command.add_command(gc)
command.add_command(outputs)
command.add_command(output)


# -- looking ---------------------------------------------------------------------------


@command.command("list")
@store_option
@click.option(
    "--status", multiple=True, type=click.Choice([*TRANSITIONS]), help="Only those in this state."
)
@click.option(
    "--limit",
    type=click.IntRange(1, MOST),
    default=50,
    show_default=True,
    help="How many, the latest first.",
)
@json_option
def list_(store: str | None, status: tuple[str, ...], limit: int, as_json: bool) -> int:
    """List runs, the latest first: JSON lines, or a table."""

    async def main() -> Sequence[RunRow]:
        async with opened_view(checked_store(store)) as view:
            return await view.runs(status or None, limit)

    rows = anyio.run(main)
    if not as_json:
        print_rows([_listed(row) for row in rows])
        return Exit.OK
    for row in rows:
        print_result(json.dumps(_summary(row)))
    return Exit.OK


@command.command("show")
@click.argument("run")
@store_option
@json_option
def show(run: str, store: str | None, as_json: bool) -> int:
    """Show the timeline of RUN: its steps, with attempts, durations, errors and keys.

    What a line of a step ends with is its key: `swarm runs rerun RUN --from KEY`.
    """

    async def main() -> tuple[View, Sequence[Event]]:
        async with opened_view(checked_store(store)) as view:
            return view, await view.events(run)

    view, events = anyio.run(main)
    row = _row_of(view, events)
    timeline = Timeline(events, owned=view.owned)
    if as_json:
        whole = {**_summary(row), "steps": timeline.to_json(), **_ended(events)}
        print_result(json.dumps(whole, ensure_ascii=False))
        return Exit.OK
    head = columns([_listed(row)], width_of(sys.stdout))
    _print_coloured([*head, *drawn(timeline.root), *_last_words(events)])
    return Exit.OK


@command.command("events")
@click.argument("run")
@store_option
@click.option("--since", default=0, show_default=True, help="Only those behind this number.")
@click.option("--kind", "kinds", multiple=True, help="Only those: step.failed, or step.*.")
@click.option("--at", help="Only those of a node's id, its place, or a step's key, and below.")
@click.option("--follow", "following", is_flag=True, help="Wait for more, until the run ends.")
@json_option
def events(run: str, store: str | None, since: int, as_json: bool, **given: Any) -> int:
    """Print the events of RUN: JSON lines, or a line for each that has something to say."""
    wanted = Wanted(given["kinds"] or None, given["at"])

    async def main() -> None:
        async with opened_view(checked_store(store)) as view:
            if wanted.needs_flow:
                wanted.learn((await view.events(run))[0])
            async for event in _watched(view, run, since, following=given["following"]):
                if wanted.takes(event):
                    _print_event(event, as_json)

    anyio.run(main)
    return Exit.OK


async def _watched(view: View, run: str, since: int, *, following: bool) -> AsyncIterator[Event]:
    while True:
        for event in await view.events(run, since):
            since = event["seq"]
            yield event
            if event["kind"] in RUN_ENDS:
                return
        if not following:
            return
        await anyio.sleep(_LOOK_S)


def _print_event(event: Event, as_json: bool) -> None:
    if as_json:
        print_result(json.dumps(event, ensure_ascii=False))
        return
    said = describe(event) or event["kind"]
    print_lines(f"{event['seq']:>5}  {_moment(event['time_s'])}  {said}", hang=7)


# -- acting ----------------------------------------------------------------------------


@command.command("resume")
@click.argument("run")
@store_option
@function_option
@wait_option
@json_option
def resume(
    run: str, store: str | None, functions: tuple[str, ...], wait: bool, as_json: bool
) -> int:
    """Go on with RUN where it was, to its end, and print the final context."""
    return _acted(_Act(run, store, functions, _resumed, wait=wait), as_json)


@command.command("cancel")
@click.argument("run")
@click.option("--reason", default="cancelled by its owner", help="Why, for the journal.")
@store_option
@function_option
@json_option
def cancel(
    run: str, reason: str, store: str | None, functions: tuple[str, ...], as_json: bool
) -> int:
    """End RUN for good: its `finally` bodies run."""
    before: list[str] = []

    async def cancelled(host: Host, found: Run) -> Run:
        if found.status in ENDED:
            before.append(found.status)
            say(f"run {found.id}: {found.status} already, nothing to cancel")
        await found.cancel(reason)
        return found

    act = _Act(run, store, functions, cancelled)
    ended: list[Ended] = []

    async def here() -> None:
        ended.append(await act())

    letter = {"act": "cancel", "run": run, "reason": reason}
    receipt = anyio.run(done_or_written, checked_store(store), letter, here)
    _told("cancel", run, receipt)
    if receipt is not None and as_json:
        report(Ended(RunOutcome(RunId(run), receipt["status"]), interrupted=False), as_json)
    # How it ended before was told then: its result is none of this command's.
    if ended and (as_json or not before):
        report(ended[0], as_json)
    return Exit.OK


@command.command("pause")
@click.argument("run")
@store_option
@json_option
def pause(run: str, store: str | None, as_json: bool) -> int:
    """Let RUN rest until somebody resumes it.

    JSON has run_id, and status: `running` where a step in flight ends before.
    """
    now: list[str] = []

    async def here() -> None:
        async with _opened(store) as host:
            found = await host.run(run)
            already = " already" if found.status == "paused" else ""
            await found.pause()
            now.append(found.status)
            say(f"run {found.id}: {found.status}{already} — {goes_on(run)}")

    letter = {"act": "pause", "run": run}
    receipt = anyio.run(done_or_written, checked_store(store), letter, here)
    _told("pause", run, receipt)
    if as_json:
        status = now[0] if receipt is None else receipt["status"]
        print_result(json.dumps({"run_id": run, "status": status}))
    return Exit.OK


def _told(act: str, run: str, receipt: Mapping[str, Any] | None) -> None:
    """Say what the process that has the store did, or began to do."""
    if receipt is None:
        return
    status = receipt["status"]
    if status == "paused":
        later = f" — {goes_on(run)}"
    elif status in ENDED and status != "cancelled":
        say(f"run {run}: {status} already, nothing to {act}")
        return
    elif status == "cancelled":
        later = ""
    elif act == "pause":
        status, later = "it will pause", " — what is in flight ends before"
    else:
        status, later = "it will end", " — its `finally` bodies run before"
    say(f"run {run}: {status}, by the process that has the store{later}")


@command.command("rerun")
@click.argument("run")
@click.option(
    "--from",
    "step",
    required=True,
    metavar="STEP",
    help="A step's key, id or place; its agent, if that did one step.",
)
@click.option(
    "--set",
    "settings",
    metavar="a.b=VALUE",
    multiple=True,
    help="Write into the context before that step; VALUE is JSON, else a string.",
)
@click.option("--run-id", metavar="ID", help="The new run's id.")
@store_option
@function_option
@json_option
def rerun(
    run: str,
    step: str,
    settings: tuple[str, ...],
    run_id: str | None,
    store: str | None,
    functions: tuple[str, ...],
    as_json: bool,
) -> int:
    """Start a new run with RUN's answers up to STEP, and print its final context."""
    written = edits(settings)

    async def repeated(host: Host, found: Run) -> Run:
        return await host.rerun(found.id, from_step=step, set=written, new_id=run_id)

    return _acted(_Act(run, store, functions, repeated), as_json)


async def _resumed(host: Host, run: Run) -> Run:
    # What has ended is told again: who resumes after a crash need not know how far it came.
    return run if run.status in ENDED else await host.resume(run.id)


class _Act:
    """What to do with which run of which store."""

    def __init__(
        self,
        run: str,
        store: str | None,
        functions: Sequence[str],
        act: Callable[[Host, Run], Awaitable[Run]],
        *,
        wait: bool = False,
    ) -> None:
        self._patience: Patience = patience_of(wait)
        self._run = run
        self._store = store
        self._functions = functions
        self._act = act

    async def __call__(self) -> Ended:
        """Do it, and follow the run that comes of it to its end."""
        with signals() as received:
            async with _opened(self._store) as host:
                run = await host.run(self._run)
                past = [event async for event in run.events()]
                self._register(host, past)
                acted = await self._act(host, run)
                since = past[-1]["seq"] if acted is run else 0
                ended = await follow(host, acted, received, since=since, patience=self._patience)
                if ended.outcome.status not in ENDED or past[0]["kind"] != "run.started":
                    return ended
                if ended.outcome.error is None:
                    return ended
                # What has failed is told on the author's lines, as it is where it was started.
                return replace(ended, blueprint=await origin_of(host, past[0]))

    def _register(self, host: Host, past: Sequence[Event]) -> None:
        """Give the host the functions and layers of the project that the run came from.

        Of an issue, the project is where the loop is told what it may do, and its agents
        are the loop's.
        """
        first = past[0]
        folder = first["folder"] if first["kind"] == "run.started" else None
        project = find_project(None if folder is None else Path(folder) / "any")
        project.equip(host)
        functions = import_functions(project, self._functions)
        for name, function in functions.items():
            host.function(name)(function)
        if self._run.startswith(ISSUE):
            from swarm.cli.improving import enhancer_of

            enhancer_of(host, project, functions)


def _acted(act: _Act, as_json: bool) -> int:
    return report(anyio.run(act), as_json)


@asynccontextmanager
async def _opened(store: str | None) -> AsyncGenerator[Host]:
    async with opened_store(checked_store(store)) as host:
        yield host


# -- words -----------------------------------------------------------------------------


def _summary(row: RunRow) -> dict[str, Any]:
    return row._asdict()


def _row_of(view: View, events: Sequence[Event]) -> RunRow:
    first, last = events[0], events[-1]
    status: Any = "pending"
    for event in events:
        status = next_status(status, event["kind"])
    assert first["kind"] == "run.started"  # noqa: S101 - no run begins with another
    ended = last["time_s"] if last["kind"] in RUN_ENDS else None
    return RunRow(
        RunId(first["run"]),
        view.status(status),
        first["blueprint"],
        first["digest"],
        first["time_s"],
        ended,
    )


def _ended(events: Sequence[Event]) -> dict[str, Any]:
    last: Any = events[-1]
    return {"ctx": last.get("ctx"), "error": last.get("error")}


def _last_words(events: Sequence[Event]) -> list[str]:
    """Say why the run did not succeed, where that is known."""
    last: Any = events[-1]
    if last["kind"] == "run.blocked":
        return [f"blocked: {last['code']}: {last['message']}"]
    error = last.get("error")
    return [] if error is None else [f"✗ {error['code']} at {error['at']}: {error['message']}"]


def _listed(row: RunRow) -> tuple[str, ...]:
    took = ""
    if row.began_s is not None and row.ended_s is not None:
        took = f"{max(0.0, row.ended_s - row.began_s):.2f} s"
    began = "" if row.began_s is None else _moment(row.began_s)
    return row.run_id, row.status, row.blueprint or "", began, took


def _moment(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _print_coloured(lines: Sequence[str]) -> None:
    """Print lines, their signs in colours on a terminal."""
    if not sys.stdout.isatty():
        print_lines(*lines)
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in folded_for(sys.stdout, lines):
        text = Text(line)
        for sign, colour in _COLOURS.items():
            text.highlight_regex(sign, colour)
        console.print(text, soft_wrap=True)
