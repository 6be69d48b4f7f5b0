"""A process that others are forked from: it has imported already what they are made of.

It reads orders, a line of JSON each, and answers with one.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ("Warm", "was_killed")

_ROOT = Path(__file__).parents[2]


class Warm:
    """The process of a module, which is run as a program."""

    def __init__(self, module: str) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter
            [sys.executable, "-m", module],
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ended(self, order: dict[str, Any]) -> Any:
        """Let something live; return what is said of its end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Let it end by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        with self._process.stdout:
            assert self._process.wait(30) == 0


def was_killed(code: int) -> bool:
    """Tell a life that was killed from one that came to its end; it may end in no other way."""
    assert code in (0, -signal.SIGKILL), f"a life ended with {code}"
    return code != 0
