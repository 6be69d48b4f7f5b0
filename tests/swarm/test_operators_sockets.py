from __future__ import annotations

import errno
import socket

import pytest

from swarm.operators.sockets import why_of

NO_NAME = "Name or service not known"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ECONNREFUSED, "Connect call failed ('::1', 7)"), "connection refused"),
        (socket.gaierror(-2, NO_NAME), "name or service not known"),
        (OSError(-2, f"{NO_NAME} (while attempting to bind)"), "name or service not known"),
        (OSError("all connections failed"), "all connections failed"),
        (TimeoutError(), "TimeoutError"),
        (EOFError("no end"), "no end"),
    ],
)
def test_why_there_is_no_line_is_said_without_its_address(error: Exception, said: str) -> None:
    assert why_of(error) == said
