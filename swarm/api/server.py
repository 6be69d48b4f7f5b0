"""One port, one process: listens, serves a host, and drains when it is told to end.

    signal ─→ intake closed (503, Retry-After) ─→ what runs is interrupted, durably
           ─→ streams have ended with their runs ─→ connections closed ─→ the process leaves

The host is closed before the server: whoever watches sees his run interrupted, and not a
line that breaks.
"""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import contextmanager
from typing import Any, Final, TypeAlias

import anyio
import uvicorn
from anyio.abc import TaskStatus
from fastapi import FastAPI

from swarm.api.door import Front
from swarm.core.tasks import first_raised
from swarm.errors import Refused
from swarm.operators.sockets import why_of
from swarm.operators.wire import options

__all__ = ("SHUTDOWN_S", "Beside", "listening", "serve")

Beside: TypeAlias = Callable[[], Coroutine[Any, Any, None]]

# Ten seconds in all: what the host may take, and then what connections may.
SHUTDOWN_S: Final = 6.0
_CLOSE_S = 2


def listening(bind: str) -> socket.socket:
    """Open the port of `HOST:PORT`.

    Raises: Refused (http.bind).
    """
    host, colon, port = bind.rpartition(":")
    if not colon or not host or not port.isdigit() or int(port) > 65_535:
        raise Refused("http.bind", f"bind: expected HOST:PORT, got {bind!r}")
    bare = host.removeprefix("[").removesuffix("]")
    family = socket.AF_INET6 if ":" in bare else socket.AF_INET
    try:
        return socket.create_server((bare, int(port)), family=family, backlog=512)
    except OSError as error:
        raise Refused("http.bind", f"bind: cannot listen on {bind}: {why_of(error)}") from error


class _Answered(logging.Filter):
    """Passes over what uvicorn says of a handshake that was answered with a refusal."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell what is worth a line."""
        return record.msg != "ASGI callable returned without completing handshake."


_ANSWERED: Final = _Answered()


async def serve(
    app: FastAPI,
    listener: socket.socket,
    ready: Callable[[str], None],
    beside: Beside | None = None,
) -> int:
    """Serve until a signal asks for the end; return which.

    Shape: *app* is the application of a host, which is opened and closed here; *ready* is
    told the address once it is served; *beside* is done until the host is closed.
    Raises: what the host cannot be opened for, or *ready* and *beside* raise: the first of it.
    """
    front: Front = app.state.front
    received = 0
    try:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with anyio.create_task_group() as tasks:
                async with front.served:
                    server: _Server = await tasks.start(_serving, app, listener)
                    ready(_address(listener))
                    received = await _signalled(signals, beside)
                    front.draining = True
                server.should_exit = True
    except ExceptionGroup as several:
        raise first_raised(several) from several
    return received


async def _signalled(signals: AsyncIterator[int], beside: Beside | None) -> int:
    received = 0
    async with anyio.create_task_group() as tasks:
        if beside is not None:
            tasks.start_soon(beside)
        received = int(await anext(signals))
        tasks.cancel_scope.cancel()
    return received


async def _serving(
    app: FastAPI,
    listener: socket.socket,
    *,
    task_status: TaskStatus[_Server],
) -> None:
    logging.getLogger("uvicorn").getChild("error").addFilter(_ANSWERED)
    server = _Server(uvicorn.Config(app, **_options()), task_status)
    await server.serve(sockets=[listener])


def _options() -> dict[str, Any]:
    own = {"lifespan": "off", "log_config": None, "timeout_graceful_shutdown": _CLOSE_S}
    return {**options(), **own}


class _Server(uvicorn.Server):
    """uvicorn, with the signals left to the command."""

    def __init__(self, config: uvicorn.Config, status: TaskStatus[_Server]) -> None:
        super().__init__(config)
        self._status = status

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets=sockets)
        self._status.started(self)

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave them alone."""
        yield


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
