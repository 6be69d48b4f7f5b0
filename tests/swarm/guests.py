"""A guest whose host, guard and recorder note what they are told."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

from swarm.core.capability.grant import Grant
from swarm.core.capability.guard import DESK
from swarm.core.capability.rules import Decision
from swarm.host.guest import Guest

ADA = Grant("ada", "operator", run="r_0", step="$/0", attempt=7)


class Said:
    """What was called, with what; each call answers with its own name."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.answers: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*args: Any, **more: Any) -> Any:
            self.calls.append((name, args, more))
            return self.answers.get(name, f"the {name}")

        return call


class Spoken(Said):
    """The same, of what is not awaited."""

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def call(*args: Any, **more: Any) -> Any:
            self.calls.append((name, args, more))
            return self.answers.get(name, f"the {name}")

        return call


class Stream:
    """Events that come one after the other."""

    def __init__(self, events: Iterable[Any]) -> None:
        self._events = iter(events)

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        for event in self._events:
            return event
        raise StopAsyncIteration


class Door:
    """A guest of a host, a guard and a recorder that note what they are told."""

    def __init__(self, *, allowed: bool = True) -> None:
        self.host: Any = Said()
        self.authority: Any = Spoken()
        self.guard = Spoken()
        self.acts: list[tuple[Any, ...]] = []
        self.refused: list[tuple[Any, ...]] = []
        self.allowed = allowed
        self.guard.answers = {
            "admit": Decision(allowed, "ok" if allowed else "form", "", ADA if allowed else None),
        }
        for verb in ("check", "look"):
            setattr(self.guard, verb, self._judged(verb))
        self.authority.guard = self.guard
        recorder = SimpleNamespace(guest=self._guest, denied=self._denied)
        self.run = SimpleNamespace(id="r_1", status="running", summary="a row")
        self.run.link, self.run.events = Spoken().link, Spoken().events
        self.host.answers = {"run": self.run, "start": self.run, "runs": (self.run, self.run)}
        self.host.answers |= {"resume": self.run, "rerun": self.run}
        self.guest = Guest(self.host, self.authority, cast("Any", recorder), "a token")

    def _judged(self, name: str) -> Callable[..., Any]:
        def judged(token: str, verb: str, *at: Any, purposes: Any = DESK, **named: Any) -> Any:
            assert token == "a token"  # noqa: S105
            where = at or (named["run"], named["step"], named["attempt"])
            self.guard.calls.append((name, (verb, *where), {"purposes": purposes}))
            decision = Decision(self.allowed, "ok" if self.allowed else "role", verb, ADA)
            return SimpleNamespace(decision=decision) if name == "check" else decision

        return judged

    @asynccontextmanager
    async def _guest(self, passed: Any, *at: Any, always: bool) -> AsyncGenerator[None]:
        began = len(self.host.calls)
        self.acts.append((passed.decision.verb, *at, always))
        yield
        # What is done is done within the act.
        self.host.calls[began:] = [
            (n, a, {**m, "within": True}) for n, a, m in self.host.calls[began:]
        ]

    async def _denied(self, decision: Decision, *at: Any) -> None:
        self.refused.append((decision.verb, decision.reason, *at))
