"""Who takes part, and what is asked of them: works, contenders, what they are compared in.

A contender has a file in `bench/peers` (`on_NAME.py`), an environment of its own, and modes:
ways in which it keeps what happened. A group is what is compared with each other; one mode
may stand in several.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ("GROUPS", "OURS", "ROSTER", "WORKS", "Contender", "Entry", "Group", "Mode", "Work")

OURS = "swarm"
_ROOT = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Work:
    """One work: the same meaning everywhere, and the one right result for each size."""

    name: str
    title: str
    unit: str
    size: int
    check: int  # the size at which results are compared before anything is timed

    def right(self, size: int) -> Any:
        """Return what must come out."""
        match self.name:
            case "W2":
                return [2 * n for n in range(size)]
            case "W3":
                return [5] * size
            case "W4":
                return [size, 10_000]
            case _:
                return size


WORKS: Mapping[str, Work] = {
    work.name: work
    for work in (
        Work("W1", "a chain of 1,000 trivial steps", "a step", 1000, 20),
        Work("W2", "a fanout over 1,000 trivial items", "an item", 1000, 20),
        Work("W3", "1,000 concurrent runs of five steps", "a run", 1000, 10),
        Work("W4", "W1 carrying 1 MB of context", "a step", 1000, 5),
    )
}


@dataclass(frozen=True, slots=True)
class Group:
    """What is compared with each other, and in which works."""

    name: str
    title: str
    works: tuple[str, ...]


GROUPS: Mapping[str, Group] = {
    group.name: group
    for group in (
        Group("memory", "nothing is kept", ("W1", "W2", "W3", "W4")),
        Group("normal", "kept on SQLite, without fsync at every step", ("W1", "W2", "W3", "W4")),
        Group("default", "kept on SQLite, as each comes (W5)", ("W1",)),
        Group("full", "kept on SQLite, fsync at every step (W5)", ("W1",)),
    )
}


@dataclass(frozen=True, slots=True)
class Mode:
    """A way in which a contender keeps things; *parts*: it does 1/n of that work's size."""

    name: str
    title: str
    groups: tuple[str, ...]
    parts: Mapping[str, int] = field(default_factory=dict[str, int])

    def works(self) -> tuple[str, ...]:
        """Return the works that any of its groups asks for."""
        return tuple(w for w in WORKS if any(w in GROUPS[group].works for group in self.groups))


@dataclass(frozen=True, slots=True)
class Contender:
    """Who takes part; *imports* is what a program that uses it imports."""

    name: str
    title: str
    requirements: tuple[str, ...]
    imports: str
    modes: tuple[Mode, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A contender in one of its modes."""

    contender: Contender
    mode: Mode

    @property
    def name(self) -> str:
        return f"{self.contender.name}:{self.mode.name}"

    @property
    def title(self) -> str:
        return f"{self.contender.title}{', ' if self.mode.title else ''}{self.mode.title}"

    def size(self, work: Work, share: int) -> int:
        """Return how much of *work* it does, where all do 1/*share* of it."""
        return max(work.size // share // self.mode.parts.get(work.name, 1), 1)


_SLOW = {"W1": 20, "W2": 20, "W3": 500, "W4": 20}

ROSTER: tuple[Contender, ...] = (
    Contender(
        "plain",
        "plain Python",
        ("apsw>=3.50",),
        "import asyncio",
        (
            Mode("memory", "", ("memory",)),
            Mode("normal", "a commit a step", ("normal",)),
            Mode("full", "a commit a step", ("full",)),
        ),
        ("The floor: an awaited function, and where things are kept, one row in one commit.",),
    ),
    Contender(
        OURS,
        "swarm",
        (str(_ROOT),),
        "import swarm; swarm.Host",
        (
            Mode("memory", "", ("memory",)),
            Mode("stack", "with six layers", ("memory",)),
            Mode("normal", "`normal`", ("normal",)),
            Mode("full", "`full`", ("default", "full")),
        ),
        (
            "A fresh install has no layers; the six are all that ship for a step that works.",
            "`full` is the default.",
        ),
    ),
    Contender(
        "burr",
        "Burr",
        ("apache-burr>=0.43", "aiosqlite>=0.20", "pydantic>=2"),
        "from burr.core import ApplicationBuilder, action",
        (
            Mode("memory", "", ("memory",)),
            Mode("normal", "SQLite", ("normal",), {"W4": 10}),
            Mode("default", "SQLite", ("default",)),
            Mode("full", "SQLite", ("full",)),
        ),
        ("It keeps the whole state at every step.",),
    ),
    Contender(
        "pydantic_graph",
        "pydantic-graph",
        ("pydantic-graph>=2.68",),
        "from pydantic_graph import GraphBuilder",
        (Mode("memory", "", ("memory",)),),
        ("It has no persistence, so it is in one group only.",),
    ),
    Contender(
        "langgraph",
        "LangGraph",
        ("langgraph>=1.2", "langgraph-checkpoint-sqlite>=3.1"),
        "from langgraph.graph import StateGraph",
        (
            Mode("memory", "", ("memory",)),
            Mode("saver", "InMemorySaver", ("memory",), {"W4": 10}),
            Mode("normal", "SQLite", ("normal",), {"W3": 5, "W4": 10}),
            Mode("default", "SQLite", ("default",)),
            Mode("full", "SQLite", ("full",)),
        ),
        ("It keeps the whole state at every step.",),
    ),
    Contender(
        "dbos",
        "DBOS",
        ("dbos>=3.4",),
        "from dbos import DBOS",
        (
            Mode("normal", "SQLite", ("normal",), {"W3": 5}),
            Mode("default", "SQLite", ("default",), {"W1": 5}),
            Mode("full", "SQLite", ("full",), {"W1": 5}),
        ),
        (
            "It keeps the results of steps, and no state.",
            "What a run of its carries in W4 is its argument, which is kept once.",
        ),
    ),
    Contender(
        "prefect",
        "Prefect",
        ("prefect>=3.9",),
        "from prefect import flow, task",
        (
            Mode("normal", "results kept", ("normal",), _SLOW),
            Mode("default", "results not kept", ("default",), _SLOW),
        ),
        (
            "Its server is a process whose time and memory count as its own.",
            "It has no setting for fsync at every step, so it is not in that group.",
            "States reach the server in the background, after the next step began.",
            "It refuses parameters of 1 MB, so its flow makes the context of W4 itself.",
        ),
    ),
)
