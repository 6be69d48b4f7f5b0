"""One attempt of one step, from the machine's request to its end."""

from __future__ import annotations

from anyio import CancelScope

from flowir.effects import Dispatch, Failure
from swarm.core.accounts import Accounts
from swarm.core.gates import Ticket
from swarm.core.lane import Lane
from swarm.core.terms import Terms

__all__ = ("Attempt",)


class Attempt:
    """What the driver knows of one dispatch.

    Shape: `terms` are its agent's; `wanted` until it is answered or cancelled; `started`
    once its `step.started` is written; `open` while its worker may say something; `scope`
    interrupts it, while something is awaited for it; `resting` counts its waits for people
    and the clock; `refused` is how it fails at once, where the run's budget has nothing left
    for it; `accounts` is what it counts for; `children` counts the runs that it has begun;
    `ticket` is what it needs of the gates; `digest` that of its input, once it has started;
    `handed_bytes` is the size of what it has handed over beside its answer.
    Units: `due_s` and `began_s` in seconds of the Clock port, `delay_s` what is left to wait
    before it starts.
    """

    __slots__ = (
        "accounts",
        "began_s",
        "children",
        "delay_s",
        "digest",
        "dispatch",
        "due_s",
        "handed_bytes",
        "open",
        "refused",
        "resting",
        "scope",
        "started",
        "terms",
        "ticket",
        "wanted",
    )

    def __init__(self, dispatch: Dispatch, terms: Terms, now_s: float, delay_s: float) -> None:
        self.dispatch = dispatch
        self.terms = terms
        self.delay_s = delay_s
        self.due_s = now_s + delay_s
        self.began_s = self.due_s
        self.wanted = True
        self.started = False
        self.open = False
        self.accounts: Accounts = ()
        self.refused: Failure | None = None
        self.digest: str | None = None
        self.resting = 0
        self.children = 0
        self.handed_bytes = 0
        self.scope: CancelScope | Lane | None = None
        self.ticket: Ticket | None = None

    def drop(self) -> None:
        """Note that nobody wants its answer any more."""
        self.wanted = False
        self.open = False

    def stop(self) -> None:
        """Interrupt whatever is awaited for it."""
        if self.scope is not None:
            self.scope.cancel()
