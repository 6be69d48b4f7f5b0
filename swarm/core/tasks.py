"""Groups of the tasks that runs and their lanes go on in.

On asyncio that is its own TaskGroup: a task of anyio's group has a scope, a handle and an
event of its own, some twenty objects that nobody here asks for, and costs as much as two
steps. On trio there is only one kind. Whatever is to be stopped by itself enters a scope
of its own (`Lane`); a group that is cancelled cancels each of its tasks once, shielded or
not.
"""

from __future__ import annotations

import asyncio  # noqa: TID251 - the one place
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, Final, Protocol

import anyio
from anyio.lowlevel import checkpoint

__all__ = ("News", "Tasks", "giving_turns", "news", "task_group")


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


def _on_asyncio() -> bool:
    try:
        # Where trio is a guest of asyncio's loop that loop runs, and none of its tasks.
        return asyncio.current_task() is not None
    except RuntimeError:
        return False
