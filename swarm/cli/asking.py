"""What a command does while its run waits for people: ask them here, wait, or leave."""

from __future__ import annotations

import json
import sys
from typing import Literal, TypeAlias

import anyio
import click
from anyio.abc import TaskGroup

import flowir
from flowir.door import parse_json
from swarm.cli.exits import say
from swarm.cli.lines import Lines
from swarm.core.questions import Question
from swarm.errors import Refused
from swarm.host.host import Host
from swarm.host.run import Run

__all__ = ("Patience", "outlast", "patience_of", "questions_of", "told", "wait_option")

Patience: TypeAlias = Literal["ask", "wait", "leave"]

_OPEN = ("running", "waiting", "paused", "interrupted")
_SHOWN = 2000
# A question that is over is answered at once; who waits longer waits for somebody else.
_SETTLED_S = 5.0


wait_option = click.option(
    "--wait", is_flag=True, help="Stay while the run waits for people who answer elsewhere."
)


def patience_of(wait: bool) -> Patience:
    """Choose: who sits at a terminal is asked, else the command leaves, unless it is to wait."""
    if wait:
        return "wait"
    return "ask" if sys.stdin.isatty() and sys.stderr.isatty() else "leave"


async def outlast(host: Host, run: Run, since: int, patience: Patience, lines: Lines) -> bool:
    """Do what is to be done while *run* waits; False: the command need not stay.

    Returns as soon as the run goes on, whoever answered. *lines* are one for the command.
    """
    if patience != "ask":
        asked = await questions_of(host, run)
        for question in asked:
            say(told(question))
        if patience == "leave":
            return not asked and await _goes_on(run, since)
    stay: list[bool] = [True]
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_watch, run, since, tasks)
        if patience == "ask":
            stay[0] = await _ask_all(host, run, lines)
            tasks.cancel_scope.cancel()
    return stay[0]


async def questions_of(host: Host, run: Run) -> list[Question]:
    """Return the open questions of a run and of the runs within it."""
    family = {run.id: run}
    # A child began after its parent, so one pass from the oldest finds them all.
    for found in reversed(await host.runs(_OPEN)):
        if await _parent(found) in family:
            family[found.id] = found
    asked = [question for found in family.values() for question in await found.questions()]
    return sorted(asked, key=lambda question: question.asked_at)


async def _parent(run: Run) -> str | None:
    first = await anext(run.events())
    parent = first["parent"] if first["kind"] == "run.started" else None
    return None if parent is None else parent["run"]


def told(question: Question) -> str:
    """Write a question as lines for a person."""
    ask = question.ask
    lines = [f"? {question.id}" + (f" (for {question.to})" if question.to else "")]
    lines += [f"  {line}" for line in ask.prompt.splitlines()]
    for name, value in (("about", ask.input), ("schema", ask.schema)):
        if value is not None:
            text = json.dumps(value, ensure_ascii=False)
            lines.append(f"  {name}: {text if len(text) <= _SHOWN else text[:_SHOWN] + '…'}")
    return "\n".join(lines)


async def _goes_on(run: Run, since: int) -> bool:
    """Tell whether a run that nobody is asked by goes on: its question is just over, then."""
    with anyio.move_on_after(_SETTLED_S):
        async for event in run.events(since):
            if event["kind"].startswith("run."):
                return True
    return False


async def _watch(run: Run, since: int, tasks: TaskGroup) -> None:
    """End the waiting when the run does."""
    async for event in run.events(since):
        if event["kind"].startswith("run."):
            break
    tasks.cancel_scope.cancel()


async def _ask_all(host: Host, run: Run, lines: Lines) -> bool:
    """Ask on the terminal until nothing is open; False: nobody is there any more."""
    while open_ := await questions_of(host, run):
        question = open_[0]
        say(told(question))
        sys.stderr.write("answer> ")
        sys.stderr.flush()
        line = await lines.next()
        if line is None:
            say("")  # behind the prompt, nothing was typed
            return False
        try:
            asker = await host.run(question.run)
            await asker.answer(question.id, _value(line), by="terminal")
        except Refused as refused:
            say(str(refused))
    return True


def _value(text: str) -> object:
    try:
        return parse_json(text)
    except flowir.FlowError:
        return text
