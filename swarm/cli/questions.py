"""`swarm runs questions` and `swarm runs answer`: what runs wait to be told."""

from __future__ import annotations

import json
from typing import Any

import anyio
import click

import flowir
from flowir.door import parse_json
from swarm.cli.asking import told
from swarm.cli.exits import Exit, WrongUse, print_lines, print_result, say
from swarm.cli.letters import done_or_written
from swarm.cli.runs_view import opened_view
from swarm.cli.stores import checked_store, opened_store, store_option
from swarm.core.questions import Question

__all__ = ("answer", "questions")


@click.command("questions")
@click.argument("run", required=False)
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines.")
def questions(run: str | None, store: str | None, as_json: bool) -> int:
    """Print what RUN waits to be told, or what all runs do; any process may look."""

    async def main() -> list[Question]:
        async with opened_view(checked_store(store)) as view:
            return await view.questions(run)

    for question in anyio.run(main):
        wire = json.dumps(question.to_wire(), ensure_ascii=False)
        print_result(wire) if as_json else print_lines(told(question))
    return Exit.OK


@click.command("answer")
@click.argument("question")
@click.argument("value", metavar="JSON")
@click.option("--by", metavar="NAME", help="Who answers, for the journal.")
@store_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def answer(question: str, value: str, by: str | None, store: str | None, as_json: bool) -> int:
    """Answer QUESTION (RUN:NUMBER, as `swarm runs questions` prints it) with JSON.

    Its run finds the answer when it goes on. Where another process has the store open,
    that process takes the answer in. JSON has question, run_id and status: how the run
    stands now.
    """
    run_id, _, _ = question.rpartition(":")
    if not run_id:
        raise WrongUse(
            f"expected the id of a question, such as RUN:1, got {question!r} — swarm runs questions"
        )
    given = _parsed(value)

    folder = checked_store(store)
    letter = {"act": "answer", "run": run_id, "question": question, "value": given, "by": by}

    now: list[str] = []

    async def act() -> None:
        async with opened_store(folder) as host:
            run = await host.run(run_id)
            await run.answer(question, given, by=by)
            now.append(run.status)

    receipt = anyio.run(done_or_written, folder, letter, act)
    later = f" — swarm runs resume {run_id}" if receipt is None else ""
    say(f"answered {question}{later}")
    if as_json:
        status = now[0] if receipt is None else receipt["status"]
        print_result(json.dumps({"question": question, "run_id": run_id, "status": status}))
    return Exit.OK


def _parsed(text: str) -> Any:
    try:
        return parse_json(text, at="answer")
    except flowir.FlowError as e:
        raise WrongUse(f"{e} — a string stands in quotes: '\"yes\"'") from None
