"""Operators: the protocol, the desk that places orders, and both ends of a line.

    connect    an operator as a program writes him
    Operators  the operators of a host             `swarm.Host(operators=Operators())`
    Endpoint   where their lines come in: an ASGI application

Names are handed on when they are first used: a host without operators loads nothing here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from swarm.operators.client import ROUTE, Backoff, Became, Halted, Operator, Task, connect
    from swarm.operators.limits import Bounds
    from swarm.operators.server import Endpoint
    from swarm.operators.service import Operators

__all__ = (
    "ROUTE",
    "Backoff",
    "Became",
    "Bounds",
    "Endpoint",
    "Halted",
    "Operator",
    "Operators",
    "Task",
    "connect",
)

_ROOMS = {
    "ROUTE": "client",
    "Backoff": "client",
    "Became": "client",
    "Bounds": "limits",
    "Endpoint": "server",
    "Halted": "client",
    "Operator": "client",
    "Operators": "service",
    "Task": "client",
    "connect": "client",
}


# A name that there is not is a type checker's to find: it would take this for any.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        room = _ROOMS.get(name)
        if room is None:
            raise AttributeError(f"module 'swarm.operators' has no attribute {name!r}")
        value = getattr(import_module(f"swarm.operators.{room}"), name)
        globals()[name] = value
        return value
