"""A lane: one line of execution, with its own context.

The main flow is a lane; each item of a fanout is one. A lane at rest is plain data: the
instruction it goes on with, its context, its registers.

A lane of a fanout keeps its first few writes in `log`, as long as they are few: a
waiting lane whose writes had to copy something wide lets go of its context and makes it
again from the parent's context and the log. So ten thousand lanes that bind their item
inside an object of ten thousand keys do not hold ten thousand copies of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from flowir.door import admit_measured
from flowir.errors import FlowError, shorten
from flowir.exprs import Bounds, Compiled, Reach
from flowir.ops import spend
from flowir.path import Path
from flowir.store import Write, check_size, writer
from flowir.values import weigh

if TYPE_CHECKING:
    from flowir.effects import Outcome
    from flowir.joins import Fan
    from flowir.machine import Machine

__all__ = ("Lane", "Op", "Saved")

Op: TypeAlias = "Callable[[Lane], Op | None]"
# A context kept by `try`: itself, in a tuple, or how much of the log stood at the time.
Saved: TypeAlias = "tuple[Any] | int"

_LOG_LENGTH = 6
_WIDE = 128
_MEASURED = 64


class Lane:
    """One line of execution.

    `op` is the instruction to go on with (None: ended), `waits` the fan it waits for,
    `key` and `attempt` the step it waits for. `size` and `depth` bound its context.
    """

    __slots__ = (
        "attempt",
        "base",
        "ctx",
        "depth",
        "fan",
        "inbox",
        "index",
        "key",
        "log",
        "m",
        "op",
        "parked",
        "prefix",
        "regs",
        "size",
        "waits",
    )

    def __init__(self, m: Machine, op: Op | None, ctx: Any, regs: list[Any], prefix: str) -> None:
        self.m = m
        self.op = op
        self.ctx: Any = ctx
        self.regs = regs
        self.prefix = prefix
        self.fan: Fan | None = None
        self.index = 0
        self.key: str | None = None
        self.attempt = 0
        self.inbox: Outcome | FlowError | None = None
        self.waits: Fan | None = None
        self.size = 0
        self.depth = 0
        self.base: Any = None
        self.log: list[tuple[Path, Any]] | None = None
        self.parked = False

    def fork(self, fan: Fan, op: Op, regs: list[Any], prefix: str) -> Lane:
        """Begin a lane of *fan* on this one's context."""
        child = Lane(self.m, op, self.ctx, regs, prefix)
        child.fan = fan
        child.index = fan.next
        child.size, child.depth = self.size, self.depth
        child.base = self.ctx
        child.log = []
        return child

    # -- how large the context is ------------------------------------------------------

    def weigh(self, value: Any, reach: Reach | Bounds) -> tuple[int, int]:
        """Bound the size and depth of a value that an expression made of this context.

        A small value is measured; a large one is at most so many times the context.
        """
        if isinstance(reach, Bounds):
            return reach
        found = weigh(value, _MEASURED)
        if found is not None:
            return found
        if reach.reads is None:
            return check_size(value, self.m.limits)
        return reach.reads * self.size + reach.own, self.depth + reach.levels

    def check(self, value: Any, reach: Reach) -> None:
        """Refuse a value that is too large to leave the machine."""
        size, depth = self.weigh(value, reach)
        if not self.fits(size - self.size) or depth > self.m.limits.value_depth:
            check_size(value, self.m.limits)

    def fits(self, size: int) -> bool:
        """Tell whether the context may certainly grow by *size*."""
        return self.size + size <= self.m.limits.value_size

    def write_measured(self, write: Write, value: Any) -> None:
        """Write where the bounds say it may be too much: try, measure, then keep."""
        trial = _Holder(self.ctx)
        write(trial, value)
        self.size, self.depth = check_size(trial.ctx, self.m.limits)
        self.ctx = trial.ctx

    def admit(self, value: Any, ref: str) -> tuple[Any, Bounds]:
        """Take in what a worker answered."""
        try:
            copy, size, depth = admit_measured(value, limits=self.m.limits, at="")
        except FlowError as e:
            place = f" at {e.at}" if e.at else ""
            raise FlowError(
                e.code,
                f"the answer of {shorten(ref)}{place}: {e.message}",
                step=ref,
                attempt=self.attempt,
            ) from None
        return copy, Bounds(size, depth)

    def hand_over(self, fan: Fan, collect: Compiled | None, cost: int, reach: Reach) -> None:
        """Give what this lane came to to its fan."""
        if collect is None:
            value, size, depth = self.ctx, self.size, self.depth
        else:
            spend(self.m, cost)
            value = collect(self.ctx, self.m)
            size, depth = self.weigh(value, reach)
        fan.size += size
        fan.depth = max(fan.depth, depth)
        fan.succeed(self.index, value)

    # -- the log of a fanout's lane ----------------------------------------------------

    def note(self, log: list[tuple[Path, Any]], path: Path, value: Any) -> None:
        """Remember a write in the lane's log, or give the log up when it grows long."""
        if len(log) < _LOG_LENGTH and path.segments:
            log.append((path, value))
        else:
            self.forget_log()

    def forget_log(self) -> None:
        """Go on without a log: what `try` kept as a mark becomes a context again."""
        if self.log is None:
            return
        for i, kind in enumerate(self.m.program.registers_of(self)):
            if kind == "saved" and type(self.regs[i]) is int:
                self.regs[i] = (self._remade(self.regs[i]),)
        self.log = None
        self.base = None

    def save(self) -> Saved:
        """Keep the context as it is now, for `try`."""
        return (self.ctx,) if self.log is None else len(self.log)

    def restore(self, saved: Saved) -> None:
        """Go back to a kept context."""
        if isinstance(saved, tuple):
            self.ctx = saved[0]
            return
        log = self.log or []
        if len(log) != saved:
            self.ctx = self._remade(saved)
            del log[saved:]

    def _remade(self, length: int) -> Any:
        holder = _Holder(self.base)
        for path, value in (self.log or [])[:length]:
            writer(path)(holder, value)
        return holder.ctx

    def park(self) -> None:
        """Let go of a context that is cheaper to make again than to keep."""
        if self.log and sum(_width(self.base, path) for path, _ in self.log) > _WIDE:
            self.ctx = None
            self.parked = True

    def unpark(self) -> None:
        """Make the context again."""
        self.ctx = self._remade(len(self.log or ()))
        self.parked = False


class _Holder:
    __slots__ = ("ctx",)

    def __init__(self, ctx: Any) -> None:
        self.ctx = ctx


def _width(value: Any, path: Path) -> int:
    """Count the members that a write at *path* copies."""
    width = 0
    for segment in path.segments:
        if type(value) is dict:
            width += len(value)
            value = value.get(segment)
        elif type(value) is list:
            width += len(value)
            # an earlier write of the log may have put another list here
            if not isinstance(segment, int) or not -len(value) <= segment < len(value):
                break
            value = value[segment]
        else:
            break
    return width
