"""`swarm operator connect`: joins a host as an operator, at a terminal or with a command.

At a terminal each order is shown and its answer read; with `--exec` a command does it, with
the order as JSON on its stdin and its stdout as the answer. Knows no more of hosts than
their address.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import click
from anyio.abc import Process

import flowir
from flowir.door import parse_json
from flowir.errors import WorkerFailure
from swarm.cli.exits import Exit, WrongUse, say
from swarm.cli.groups import Verbs
from swarm.cli.lines import Lines
from swarm.cli.paper import visible
from swarm.operators.client import Became, Operator, Task, base_of, connect

__all__ = ("command",)

# What a command may answer, and what is shown of an input.
_MOST_BYTES = 1024 * 1024
_SHOWN = 4000
_MOMENTS = ("do", "before", "after", "advise")
# How long a command that is told to end is waited for.
_GRACE_S = 5.0


@click.group("operator", cls=Verbs)
def command() -> None:
    """Join a host as an operator."""


@command.command("connect")
@click.argument("url")
@click.option("--name", required=True, help="What the operator is called.")
@click.option("--token-file", metavar="FILE", required=True, help="Where the token is.")
@click.option("--exec", "program", metavar="CMD", help="Runs for each order, JSON on its stdin.")
@click.option(
    "--hand-token",
    is_flag=True,
    help="Give CMD the order's token too: it may do the order over HTTP.",
)
@click.option("--seat", "seats", multiple=True, help="A seat to sit in; default: NAME.")
@click.option("--tag", "tags", multiple=True, help="Something that the operator can do.")
@click.option("--capacity", type=click.IntRange(1), default=1, show_default=True,
              help="How many orders at a time.")  # fmt: skip
def connect_(
    url: str,
    name: str,
    token_file: str,
    program: str | None,
    hand_token: bool,
    seats: tuple[str, ...],
    tags: tuple[str, ...],
    capacity: int,
) -> int:
    """Do steps for the host at URL, until interrupted.

    Without --exec the answers are read from the terminal: JSON, or text as it is. A command
    ends well with exit code 0; with another, the step fails. With --hand-token, the order on
    its stdin has a 'token', with which it may answer at $SWARM_URL/v1/step/result itself.
    """
    if program is None and hand_token:
        raise WrongUse("--hand-token: expected --exec CMD beside it, got none")
    if program is None and capacity > 1:
        raise WrongUse("--capacity: expected 1 at a terminal, or --exec CMD beside it")
    argv = None if program is None else _argv(program)
    operator = connect(
        url, name=name, token=_read(token_file), seats=seats, tags=tags, capacity=capacity
    )
    with _line_told():
        anyio.run(_serve, operator, argv, hand_token)
    return Exit.OK


class _Said(logging.Handler):
    """Says what the client tells of its line, once as long as it stays so."""

    def __init__(self) -> None:
        super().__init__()
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it, unless it was the last thing said."""
        said = record.getMessage()
        if said != self._last:
            self._last = said
            say(said)


@contextmanager
def _line_told() -> Generator[None]:
    """Say meanwhile what becomes of the line: whoever waits for orders sees why none come."""
    logger, said = logging.getLogger("swarm.operators.client"), _Said()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(said)
    try:
        yield
    finally:
        logger.removeHandler(said)
        logger.setLevel(level)


async def _serve(operator: Operator, argv: Sequence[str] | None, hand_token: bool) -> None:
    desk, lines = anyio.Lock(), Lines()

    async def asked(task: Task) -> Any:
        async with desk:
            return await _ask(task, lines)

    async def run(task: Task) -> Any:
        assert argv is not None  # noqa: S101 - chosen below
        return await _exec(task, argv, base_of(operator.url), hand_token)

    for moment in _MOMENTS:
        operator.handler(moment=moment)(asked if argv is None else run)
    # A prompt stands on a line of its own.
    operator.hears(lambda it: _became(it, "\n" if desk.locked() else ""))
    ended: list[Exception] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_announce, operator)
        try:
            await operator.run()
        except Exception as error:  # noqa: BLE001 - it is raised again below
            ended.append(error)
        tasks.cancel_scope.cancel()
    if ended:
        raise ended[0]


def _became(it: Became, before: str) -> None:
    """Say where an answer is wanted no more, or did not count."""
    if it.how == "cancelled":
        say(before + visible(f"! {it.key}: cancelled: {it.reason}"))
    elif it.how == "stale":
        say(f"{before}! {it.key}: too late: the step was over, and nothing happened")


async def _announce(operator: Operator) -> None:
    lines = 0
    while True:
        await operator.welcomed()
        if operator.lines != lines:
            lines = operator.lines
            say(f"{operator.hands.card.name} sits in {', '.join(operator.seats)} of {operator.url}")
        await anyio.sleep(0.2)


# -- at a terminal -----------------------------------------------------------------------


async def _ask(task: Task, lines: Lines) -> Any:
    """Show an order and read its answer; who ends the input does not do it."""
    say(_told(task))
    while True:
        sys.stderr.write("answer> ")
        sys.stderr.flush()
        try:
            line = await lines.next()
        except anyio.get_cancelled_exc_class():
            # What is half typed was meant for this order, and not for the next.
            lines.forget()
            raise
        if line is None:
            raise WorkerFailure("operator.refused", "nobody is at the terminal any more")
        try:
            return _value(line, task.order.answer_schema)
        except ValueError as wrong:
            say(f"  {wrong}")


def _told(task: Task) -> str:
    order = task.order
    lines = [f"? {order.agent} ({order.moment}, seat {order.seat})  {order.key}"]
    lines += [f"  {line}" for line in order.prompt.splitlines()]
    shown = json.dumps(order.input, ensure_ascii=False, indent=2)
    if len(shown) > _SHOWN:
        shown = f"{shown[:_SHOWN]}…"
    lines += [f"  | {line}" for line in shown.splitlines()]
    words = _words(order.answer_schema)
    if words:
        lines.append(f"  one of {', '.join(words)}")
    elif order.answer_schema is not None:
        lines.append(f"  answer: {json.dumps(order.answer_schema, ensure_ascii=False)}")
    if order.deadline_s is not None:
        lines.append(f"  within {order.deadline_s:.0f} s")
    return "\n".join(map(visible, lines))


def _value(text: str, schema: Any) -> Any:
    """Read an answer: a word of those that there are, by its first letters; JSON; or text.

    Raises: ValueError.
    """
    words = _words(schema)
    if words:
        meant = [word for word in words if word.lower().startswith(text.lower())]
        if text in words or len(meant) == 1:
            return text if text in words else meant[0]
        raise ValueError(f"expected one of {', '.join(words)}, got {text!r}")
    try:
        return parse_json(text)
    except flowir.FlowError:
        return text


def _words(schema: Any) -> list[str]:
    words: Any = schema.get("enum") if isinstance(schema, dict) else None
    found = words if isinstance(words, list) else []
    return [word for word in found if isinstance(word, str)]


# -- with a command ----------------------------------------------------------------------


async def _exec(task: Task, argv: Sequence[str], url: str, hand_token: bool) -> Any:
    """Let a command do an order; cancelled, it is ended, with all that it started."""
    order = task.order.model_dump(exclude=set() if hand_token else {"token"})
    given = json.dumps(order, ensure_ascii=False)
    environment = {**os.environ, "SWARM_KEY": task.key, "SWARM_URL": url}
    try:
        process = await anyio.open_process(
            argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        said = f"{argv[0]!r}: cannot be started: {error.strerror}"
        raise WorkerFailure("operator.exec", said, True) from error
    out, err = bytearray(), bytearray()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_feed, process, given.encode("utf-8", "replace"))
            tasks.start_soon(_drain, process.stderr, err, 64 * 1024)
            await _drain(process.stdout, out, _MOST_BYTES + 1)
            await process.wait()
    finally:
        await _end(process)
    code = process.returncode
    if code != 0:
        lines = err.decode("utf-8", "replace").strip().splitlines()
        raise WorkerFailure("operator.exec", lines[-1] if lines else f"exit code {code}")
    if len(out) > _MOST_BYTES:
        raise WorkerFailure("operator.too_large", f"expected at most {_MOST_BYTES} bytes", True)
    text = out.decode("utf-8", "replace").strip()
    try:
        return parse_json(text)
    except flowir.FlowError:
        return text


async def _feed(process: Process, given: bytes) -> None:
    assert process.stdin is not None  # noqa: S101 - it is a pipe
    # A command that reads nothing may still answer.
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError):
        await process.stdin.send(given)
    with suppress(anyio.BrokenResourceError):
        await process.stdin.aclose()


async def _drain(stream: Any, into: bytearray, most: int) -> None:
    """Read to the end, and keep no more than *most*."""
    with suppress(anyio.EndOfStream):
        while True:
            into += (await stream.receive())[: max(most - len(into), 0)]


async def _end(process: Process) -> None:
    """End a command that has not ended, and its group: first asked, then not."""
    with anyio.CancelScope(shield=True):
        for number in (15, 9):
            if process.returncode is not None:
                break
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
            with anyio.move_on_after(_GRACE_S):
                await process.wait()
        await process.aclose()


# -- what is given -----------------------------------------------------------------------


def _argv(program: str) -> list[str]:
    try:
        argv = shlex.split(program)
    except ValueError as error:
        raise WrongUse(f"--exec: expected a command, got {program!r}: {error}") from None
    if not argv:
        raise WrongUse("--exec: expected a command, got nothing")
    if shutil.which(argv[0]) is None:  # or each order that comes would fail by it
        raise WrongUse(f"--exec: expected a program that can be started, got {argv[0]!r}")
    return argv


def _read(file: str) -> str:
    """Read a token.

    Raises: WrongUse.
    """
    try:
        return Path(file).read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "what is no token"
        raise WrongUse(f"{file}: expected a file with a token, got {why}") from None
