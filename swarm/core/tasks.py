"""Groups of the tasks that runs and their lanes go on in.

On asyncio that is its own TaskGroup: a task of anyio's group has a scope, a handle and an
event of its own, some twenty objects that nobody here asks for, and costs as much as two
steps. On trio there is only one kind. Whatever is to be stopped by itself enters a scope
of its own (`Lane`); a group that is cancelled cancels each of its tasks once, shielded or
not.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - the one place
import math
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Final, Protocol, TypeVar, cast

import anyio
from anyio import CancelScope
from anyio.lowlevel import checkpoint

__all__ = (
    "News",
    "Tasks",
    "first_raised",
    "giving_turns",
    "is_by_scope",
    "is_cancelled",
    "news",
    "task_group",
    "to_its_end",
)

_T = TypeVar("_T")


class Tasks(Protocol):
    """Where tasks are started; left when all of them have ended.

    One that raises ends the others, and leaving raises an ExceptionGroup.
    """

    def start_soon(
        self, act: Callable[..., Coroutine[Any, Any, None]], /, *args: Any, name: object = None
    ) -> object:
        """Let *act* go on beside whoever starts it."""
        ...

    async def __aenter__(self) -> Any: ...

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
        /,
    ) -> bool | None: ...


def first_raised(error: Exception) -> Exception:
    """Return the first of what a group of tasks raised; an error of no group is itself."""
    if isinstance(error, ExceptionGroup):
        return first_raised(cast("ExceptionGroup[Exception]", error).exceptions[0])
    return error


class News(Protocol):
    """What some wait for, and another tells them."""

    def set(self) -> object:
        """Wake whoever waits."""
        ...

    async def wait(self) -> object:
        """Return once it is set."""
        ...


class _AsyncioTasks(asyncio.TaskGroup):
    def start_soon(
        self, act: Callable[..., Coroutine[Any, Any, None]], /, *args: Any, name: object = None
    ) -> None:
        work = act(*args)
        try:
            self.create_task(work, name=None if name is None else str(name))
        except RuntimeError:
            work.close()
            raise


def task_group() -> Tasks:
    """Make a group for the loop that the caller's task is on."""
    return _AsyncioTasks() if _on_asyncio() else anyio.create_task_group()


def news() -> News:
    """Make an event of the loop's own kind: one of anyio's is three objects on asyncio."""
    return asyncio.Event() if _on_asyncio() else anyio.Event()


class _Turn:
    __slots__ = ()

    def __await__(self) -> Generator[None]:
        yield


_TURN: Final = _Turn()


def _turn() -> _Turn:
    return _TURN


def giving_turns() -> Callable[[], Awaitable[None]]:
    """Return what gives the others a turn of the loop when it is awaited: `checkpoint`.

    On asyncio it is the yield at the bottom of that: where a thousand wait so for the same
    commit, eight calls less each turn.
    """
    return _turn if _on_asyncio() else checkpoint


def is_cancelled() -> bool:
    """Tell whether anybody wants the caller's task to end, or a scope that it is in.

    Where nobody does, a cancellation is of the making of whoever raised it: on asyncio
    anybody may, and it comes out of waiting for another task that was cancelled.
    """
    task = asyncio.current_task() if _on_asyncio() else None
    if task is not None and task.cancelling():
        return True
    return anyio.current_effective_deadline() == -math.inf


def is_by_scope(cancelled: BaseException) -> bool:
    """Tell whether a cancellation is a scope's, which will come again; a task's own does not.

    A scope gives its reason. Where both have come, the one that comes once counts.
    """
    if isinstance(cancelled, asyncio.CancelledError) and not cancelled.args:
        return False
    return anyio.current_effective_deadline() == -math.inf


class _Steady(asyncio.Task[_T]):
    """A task that only what is within it cancels: its scopes, which give a reason.

    Who ends a whole loop cancels every task, and then waits for each.
    """

    def cancel(self, msg: Any | None = None) -> bool:
        return msg is not None and super().cancel(msg)


async def to_its_end(act: Callable[..., Coroutine[Any, Any, _T]], /, *args: Any) -> _T:
    """Await *act* to its end, however often the caller is cancelled meanwhile.

    The cancellation comes behind it. On asyncio a task's own `cancel`, which is how its
    time-outs end things, minds no shield: there *act* is a task of its own.
    Not promised: that what *act* raises is heard of by who was cancelled.
    """
    if not _on_asyncio():
        with CancelScope(shield=True):
            return await act(*args)
    task = _Steady(act(*args))
    cancelled: asyncio.CancelledError | None = None
    with CancelScope(shield=True):
        while not task.done():
            try:
                await asyncio.wait((task,))
            except asyncio.CancelledError as error:
                cancelled = error
    if cancelled is None:
        return task.result()
    if not task.cancelled():
        # Looked at, so that nobody is told it never was.
        task.exception()
    raise cancelled


def _on_asyncio() -> bool:
    try:
        # Where trio is a guest of asyncio's loop that loop runs, and none of its tasks.
        return asyncio.current_task() is not None
    except RuntimeError:
        return False
