"""What the loop's functions work with: the host, the policy, and what the project brings."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeAlias

from flowir.records import dataclass
from swarm.core.acts import Act, acting
from swarm.enhance.policy import AUTHOR, Policy
from swarm.enhance.proposals import cleaned
from swarm.errors import BlueprintInvalid, Refused
from swarm.host.enhance.switch import Switch
from swarm.host.host import Host

__all__ = ("LOOP", "Bench", "Cases", "Proposer", "loop_file", "said", "selector_of", "wall")

# Given the issue, the document, its source, failures and lessons, all as data; answers with
# a proposal (`swarm.enhance.proposals`).
Proposer: TypeAlias = Callable[[dict[str, Any]], Any]
# Given a blueprint's id, a document and the files beside it; the score of each case from 0
# to 1, or None, where it has no cases.
Cases: TypeAlias = Callable[
    [str, Mapping[str, Any], Mapping[str, bytes]], Awaitable[Mapping[str, float] | None]
]
# The loop's own blueprint, which it never improves.
LOOP: Final = "enhance"


def loop_file() -> Path:
    """Return the loop's own blueprint: beside the package, or in the repository."""
    packed = Path(__file__).parents[2] / "enhance" / "enhance.lua"
    return packed if packed.is_file() else Path(__file__).parents[3] / "blueprints/enhance.lua"


@dataclass(frozen=True, slots=True)
class Bench:
    """What there is to work with.

    Shape: `now` is UTC seconds since 1970; `did` is told of each step that was done, before
    its answer is kept.
    """

    host: Host
    policy: Policy
    proposer: Proposer
    cases: Cases | None
    switch: Switch
    now: Callable[[], float]
    did: Callable[[str], Awaitable[None]]

    def expect_target(self, blueprint: str) -> None:
        """Let pass what may be improved at all.

        Raises: Refused (enhance.forbidden_target).
        """
        policy = self.policy
        allowed = policy.targets is None or blueprint in policy.targets
        if not allowed or blueprint in (*policy.forbidden, LOOP):
            told = f"enhance: expected a blueprint that may be improved, got {blueprint!r}"
            raise Refused("enhance.forbidden_target", told)

    @contextmanager
    def acting_as(
        self, author: str, verb: str, run_id: str | None, more: Mapping[str, Any]
    ) -> Generator[None]:
        """Let what is done inside be recorded as *author*'s act for the issue of *run_id*."""

        def landing(_: str | None) -> None:
            detail = {**(act.detail or {}), **more}
            self.host.recorder.note(author, verb, "allowed", run_id, detail=detail)

        act = Act(landing)
        with acting(act):
            yield

    async def note_denied(
        self, run_id: str | None, reasons: Sequence[str], change: Mapping[str, Any]
    ) -> None:
        """Record why a change was refused; it is kept when this returns."""
        known = ("blueprint", "base", "result", "label", "intent")
        detail = {k: change[k] for k in known if k in change}
        detail["reasons"] = [cleaned(reason)[:500] for reason in reasons][:20]
        recorder = self.host.recorder
        recorder.note(AUTHOR, "blueprint.register", "denied", run_id, detail=detail)
        await recorder.flush()


def selector_of(head: Mapping[str, Any]) -> str:
    """Return the selector of the version that a change begins from."""
    return f"{head['blueprint']}@{head['label']}"


def said(error: Exception) -> str:
    """Tell an error as a reason: its code, and a sentence without what would not be seen."""
    if isinstance(error, BlueprintInvalid):
        first = error.problems[0]
        return f"{first.code}: {cleaned(str(first.message))}"
    return f"{getattr(error, 'code', 'bug')}: {cleaned(str(error))}"


def wall() -> float:
    """Return the UTC seconds since 1970."""
    return time.time()
