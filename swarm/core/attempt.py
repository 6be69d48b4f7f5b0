"""One attempt of one step, from the machine's request to its end."""

from __future__ import annotations

from anyio import CancelScope

from flowir.effects import Dispatch

__all__ = ("Attempt",)


class Attempt:
    """What the driver knows of one dispatch.

    Shape: `wanted` until it is answered or cancelled; `started` once its `step.started`
    is written; `open` while its worker may say something; `scope` while something is
    awaited for it. Units: `due_s` and `began_s` in seconds of the Clock port.
    """

    __slots__ = ("began_s", "dispatch", "due_s", "open", "scope", "started", "wanted")

    def __init__(self, dispatch: Dispatch, due_s: float) -> None:
        self.dispatch = dispatch
        self.due_s = due_s
        self.began_s = due_s
        self.wanted = True
        self.started = False
        self.open = False
        self.scope: CancelScope | None = None

    def drop(self) -> None:
        """Note that nobody wants its answer any more."""
        self.wanted = False
        self.open = False

    def stop(self) -> None:
        """Interrupt whatever is awaited for it."""
        if self.scope is not None:
            self.scope.cancel()
