"""The host as an application: the one place where the API is loaded, when it is asked for."""

from __future__ import annotations

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from swarm.errors import Refused

if TYPE_CHECKING:
    from fastapi import FastAPI

    from swarm.api.door import Asgi, Bounds
    from swarm.api.served import Served

__all__ = ("application", "installed", "quieten_collector")

_EXTRA = ("fastapi", "uvicorn", "prometheus_client", "watchfiles")


def installed() -> None:
    """Look whether the extra `server` is there.

    Raises: Refused (http.missing).
    """
    for name in _EXTRA:
        try:
            import_module(name)
        except ModuleNotFoundError as error:
            raise Refused(
                "http.missing",
                f"serve: expected the extra 'server', got no module {name!r} — "
                "pip install 'lua-swarm[server]'",
            ) from error


def quieten_collector() -> None:
    """Let the interpreter's collector look less often: for a process that is a host and no more.

    What is there now, most of it modules, is looked at no more; of what comes, a look at each
    50,000 objects more than went, and not at each 700. Runs leave nothing that only the
    collector would find, so that memory stays what it is; looking took a quarter of the
    processor's time where a thousand runs go on. An app that embeds a host decides for
    itself: it is the process's, and not the host's.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def application(host: Served, bounds: Bounds | None, sockets: Mapping[str, Asgi] | None) -> FastAPI:
    """Make the application.

    Raises: Refused (http.missing).
    """
    installed()
    from swarm.api.app import build

    return build(host, bounds, {**_lines(host), **(sockets or {})})


def _lines(host: Served) -> dict[str, Asgi]:
    """Return the endpoint of the host's operators, if it has any."""
    operators = host.operators
    if operators is None:
        return {}
    from swarm.operators import ROUTE, Endpoint, Operators

    if not isinstance(operators, Operators):
        return {}
    return {ROUTE: Endpoint(operators, host.judge)}
