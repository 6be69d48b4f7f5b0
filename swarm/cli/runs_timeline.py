"""The timeline of a run: a tree of its turns, lanes and steps, with what each took.

    review  succeeded  run demo  3.2 s
    ├── writer  ✓ 0.03 s  $.children[0]
    └── turn 1
        ├── checker  ✗ 0.50 s  process.exit: exited with code 1  $.children[1].body#0.children[0]
        │            ✓ 0.41 s  attempt 2
        └── reviewer  ✓ 1.20 s  $.children[1].body#0.children[1]

A line ends with the key of its step, as `swarm runs rerun --from` takes it.

Knows events; knows nothing of hosts and stores.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any, cast

from flowir.records import dataclass
from swarm.core.events import STEP_ENDS, Event

__all__ = ("Attempt", "Branch", "Step", "Timeline", "drawn")

# `#2` is a turn of a loop and `@0` a lane of a fanout, both from zero.
_TURNS = re.compile(r"([#@])(\d+)")
_WORDS = {"#": "turn", "@": "item"}
_SIGNS = {"finished": "✓", "failed": "✗", "cancelled": "✗", "interrupted": "~", "running": "▸"}
_LONGEST = 120


@dataclass(slots=True)
class Attempt:
    """One attempt, and how it ended; `status` is `running` where it has not."""

    attempt: int
    status: str = "running"
    duration_s: float | None = None
    code: str | None = None
    message: str | None = None

    def __str__(self) -> str:
        took = "" if self.duration_s is None else f" {self.duration_s:.2f} s"
        number = f"  attempt {self.attempt}" if self.attempt > 1 else ""
        word = f" {self.status}" if self.status in ("cancelled", "interrupted", "running") else ""
        why = f"  {_short(f'{self.code}: {self.message}')}" if self.code else ""
        return f"{_SIGNS[self.status]}{took}{word}{number}{why}"


@dataclass(slots=True)
class Step:
    """One piece of work, by its key, with its attempts in order."""

    key: str
    step: str
    node: str
    attempts: list[Attempt] = field(default_factory=list["Attempt"])


@dataclass(slots=True)
class Branch:
    """A turn or a lane, and what happened in it, in order."""

    label: str
    items: dict[str, Branch | Step] = field(default_factory=dict[str, "Branch | Step"])


class Timeline:
    """The steps of a run, as far as its events tell."""

    def __init__(self, events: Iterable[Event], *, owned: bool = True) -> None:
        """Read *events*; *owned*: somebody may be working on what has no end yet."""
        self.root = Branch("")
        self.steps: dict[str, Step] = {}
        for event in events:
            self._take(cast("Mapping[str, Any]", event))
        if not owned:
            for step in self.steps.values():
                for attempt in step.attempts:
                    attempt.status = attempt.status.replace("running", "interrupted")

    def to_json(self) -> list[dict[str, Any]]:
        """Return the steps in the order in which they began."""
        return [
            {
                "key": step.key,
                "step": step.step,
                "node": step.node,
                "attempts": [
                    {name: getattr(attempt, name) for name in Attempt.__slots__}
                    for attempt in step.attempts
                ],
            }
            for step in self.steps.values()
        ]

    def _take(self, event: Mapping[str, Any]) -> None:
        kind = event["kind"]
        if kind == "step.started":
            step = self.steps.get(event["key"]) or self._new(event)
            step.attempts.append(Attempt(event["attempt"]))
        elif kind in STEP_ENDS:
            last = self.steps[event["key"]].attempts[-1]
            last.status = kind.removeprefix("step.")
            last.duration_s = event.get("duration_s")
            last.code, last.message = event.get("code"), event.get("message")

    def _new(self, event: Mapping[str, Any]) -> Step:
        key = event["key"]
        step = self.steps[key] = Step(key, event["step"], event["node"])
        branch = self.root
        for found in _TURNS.finditer(key):
            label = f"{_WORDS[found[1]]} {int(found[2]) + 1}"
            child = branch.items.setdefault(key[: found.end()], Branch(label))
            assert isinstance(child, Branch)  # noqa: S101 - no step's key ends there with more to come
            branch = child
        # A body that is a step has the key of its turn: it stands inside it all the same.
        branch.items[f"{key}:"] = step
        return step


def drawn(branch: Branch, indent: str = "") -> Iterator[str]:
    """Draw what is inside *branch*, a line each."""
    items = list(branch.items.values())
    for item in items:
        is_last = item is items[-1]
        head, below = ("└── ", "    ") if is_last else ("├── ", "│   ")
        if isinstance(item, Branch):
            yield f"{indent}{head}{item.label}"
            yield from drawn(item, indent + below)
            continue
        name = (
            item.step
            if item.node == item.key or item.node.startswith("$")
            else (f"{item.step} ({item.node})")
        )
        first, *more = item.attempts
        yield f"{indent}{head}{name}  {first}  {item.key}"
        pad = " " * len(name)
        yield from (f"{indent}{below}{pad}  {attempt}" for attempt in more)


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
