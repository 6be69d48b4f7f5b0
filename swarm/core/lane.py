"""What an attempt is stopped through: one scope for a lane, as long as it was not used.

To enter a scope and to leave it costs as much as to write a row, and nearly every attempt
ends by itself. So a lane enters one and makes its attempts in it, one after the other. Once
it was cancelled it is of no more use. Where the whole attempt was to end, the lane is left;
where only a part of one was (a layer that gives so many seconds), that part renews it.
"""

from __future__ import annotations

from types import TracebackType

from anyio import CancelScope

from swarm.ports.clock import Clock

__all__ = ("Lane",)


class Lane:
    """The scope in which one task makes its attempts.

    Shape: `scope` is the one of now; `stopped` once somebody gave the attempt up; `taken`
    while a layer may cancel the scope on its own account.
    """

    __slots__ = ("_clock", "scope", "stopped", "taken")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.scope: CancelScope = clock.deadline(None)
        self.stopped = False
        self.taken = False

    def __enter__(self) -> Lane:
        self.scope.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        return bool(self.scope.__exit__(kind, error, trace))

    def cancel(self) -> None:
        """Give the attempt up that is made now: whatever it awaits is interrupted."""
        self.stopped = True
        self.scope.cancel()

    def renew(self, error: BaseException | None) -> bool:
        """Go on in a new scope behind a part that the old one was cancelled for.

        Shape: *error* is what came out of that part; whether it was the cancellation. One
        that was for the attempt, or for all that is around it, stays what it is.
        """
        if self.stopped:
            return False
        kind, trace = (None, None) if error is None else (type(error), error.__traceback__)
        try:
            return bool(self.scope.__exit__(kind, error, trace)) and error is not None
        finally:
            self.scope = self._clock.deadline(None)
            self.scope.__enter__()
