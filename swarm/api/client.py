"""The door to a host from afar: what it leans on is loaded when it is opened."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from swarm.errors import Refused

if TYPE_CHECKING:
    from swarm.api.remote import RemoteHost

__all__ = ("connect",)


def connect(url: str, *, token: str, timeout_s: float = 30.0, transport: Any = None) -> RemoteHost:
    """Return the host that is served at *url*, as the bearer of *token* may use it.

    Shape: *transport* is httpx2's, for tests and for what stands between.
    Units: *timeout_s* for an answer to begin; streams may be silent for longer.
    Raises: Refused (http.missing), where the extra `client` is not installed.
    """
    try:
        import_module("httpx2")
    except ModuleNotFoundError as error:
        raise Refused(
            "http.missing",
            "connect: expected the extra 'client', got no module 'httpx2' — "
            "pip install 'lua-swarm[client]'",
        ) from error
    from swarm.api.remote import opened

    return opened(url, token, timeout_s, transport)
