"""What a run is doing, for the person who started it: lines on stderr, or a live board.

Knows events; knows nothing of hosts and results.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager

from swarm.cli.exits import say
from swarm.core.events import (
    Event,
    StepCancelled,
    StepFailed,
    StepFinished,
    StepProgress,
    StepRetrying,
    StepStarted,
)

__all__ = ("describe", "label", "watching")

StepEvent = StepStarted | StepProgress | StepFinished | StepFailed | StepCancelled | StepRetrying

# `#2` is an iteration and `@0` a lane of the way to a step, both from zero.
_TURNS = re.compile(r"([#@])(\d+)")
_LONGEST = 160


@contextmanager
def watching() -> Generator[Callable[[Event], None]]:
    """Open the way of showing events that fits stderr; call it with each."""
    if not sys.stderr.isatty():
        yield _print_line
        return
    from swarm.cli.board import Board  # rich, where a terminal wants it

    with Board() as board:
        yield board.show


def _print_line(event: Event) -> None:
    line = describe(event)
    if line is not None:
        say(line)


def describe(event: Event) -> str | None:
    """Say in one line what happened, or None for what nobody waits to hear.

    >>> event = {"kind": "step.finished", "step": "checker", "key": "$.body@0"}
    >>> describe({**event, "attempt": 1, "duration_s": 0.034})
    '✓ checker, item 1: 0.03 s'
    """
    match event["kind"]:
        case "run.finished":
            return f"✓ finished: {event['duration_s']:.2f} s"
        case "run.failed":
            return f"✗ failed: {event['duration_s']:.2f} s"
        case "run.cancelled":
            return f"✗ cancelled: {event['duration_s']:.2f} s"
        case "step.started":
            return f"▸ {label(event)}"
        case "step.progress":
            return f"  {label(event)}: {_short(event['text'])}"
        case "step.finished":
            return f"✓ {label(event)}: {event['duration_s']:.2f} s"
        case "step.failed":
            why = _short(f"{event['code']}: {event['message']}")
            return f"✗ {label(event)}: {event['duration_s']:.2f} s, {why}"
        case "step.cancelled":
            return f"✗ {label(event)}: cancelled after {event['duration_s']:.2f} s"
        case "step.retrying":
            return f"  {label(event)}: in {event['delay_s']:.2f} s"
        case _:
            return None


def label(event: StepEvent) -> str:
    """Name a step as its author thinks of it: agent, turn, item, attempt; from one."""
    words = {"#": "turn", "@": "item"}
    turns = [f"{words[sign]} {int(n) + 1}" for sign, n in _TURNS.findall(event["key"])]
    if event["attempt"] > 1:
        turns.append(f"attempt {event['attempt']}")
    return ", ".join((event["step"], *turns))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
