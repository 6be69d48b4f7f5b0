"""The course of a script, wherever it runs: turns, requests and their answers, its end.

Both places where scripts run go through here, so that their results, codes and sentences
are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from swarm.lua.convert import decode
from swarm.lua.failures import failure_of, refused_source, syntax_failure
from swarm.lua.modules import MAX_SOURCE
from swarm.lua.requests import Answers, Functions, task_of
from swarm.lua.sandbox import Turn
from swarm.lua.wire import Task
from swarm.ports.scripts import HostFunction, Script, ScriptLimits

__all__ = ("Stage", "check_source", "run_author", "run_worker")


class Stage(Protocol):
    """Where one script runs, turn by turn; the kind of a first turn may be "refused"."""

    async def worker(self, script: Script, task: Task, limits: ScriptLimits) -> Turn:
        """Run a worker script until its first turn ends."""
        ...

    async def author(self, script: Script, limits: ScriptLimits) -> Turn:
        """Run a blueprint script until its first turn ends."""
        ...

    async def answer(self, payload: bytes, *, ok: bool) -> Turn:
        """Give the script what it asked for, or why not, and run its next turn."""
        ...


def check_source(script: Script) -> None:
    """Refuse a source that is not even read.

    Raises: ScriptFailed.
    """
    refused = refused_source(script, MAX_SOURCE)
    if refused is not None:
        raise refused


async def run_worker(
    stage: Stage,
    script: Script,
    input: Any,
    host: Mapping[str, HostFunction] | None,
    facts: Mapping[str, Any] | None,
    limits: ScriptLimits,
) -> Any:
    """Run a worker script on *stage* to its end and return its result."""
    check_source(script)
    functions = host or {}
    task = task_of(script, input, facts or {}, functions)
    turn = await stage.worker(script, task, limits)
    return await _follow(stage, turn, script, limits, Functions(functions))


async def run_author(stage: Stage, script: Script, limits: ScriptLimits, modules: Answers) -> Any:
    """Run a blueprint script on *stage* to its end and return what it returned."""
    check_source(script)
    turn = await stage.author(script, limits)
    return await _follow(stage, turn, script, limits, modules)


async def _follow(
    stage: Stage, turn: Turn, script: Script, limits: ScriptLimits, answers: Answers
) -> Any:
    while turn.kind == "ask":
        ok, payload = await answers.answer(turn.name, decode(turn.payload))
        turn = await stage.answer(payload, ok=ok)
    if turn.kind == "done":
        return decode(turn.payload)
    raise _failed(turn, script, limits, answers) from answers.cause


def _failed(turn: Turn, script: Script, limits: ScriptLimits, answers: Answers) -> Exception:
    if turn.kind == "refused":
        return syntax_failure(turn.payload.decode(), script)
    return failure_of(decode(turn.payload), script, limits, answers.chunks)
