"""`swarm serve` as a process of its own, and what a test asks of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

__all__ = ("CODE", "bearing", "done", "serving", "swarm", "token", "until")

CODE = "from swarm.cli.main import main; main()"


def swarm(*arguments: str) -> list[str]:
    return [sys.executable, "-c", CODE, *arguments]


def done(project: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own child
        command, cwd=project, capture_output=True, text=True, timeout=60, check=False
    )


@contextmanager
def serving(project: Path, *arguments: str) -> Generator[tuple[subprocess.Popen[str], str]]:
    """Start a server, on a free port unless it is told which; end it, whatever happens."""
    bind = () if "--bind" in arguments else ("--bind", "127.0.0.1:0")
    command = swarm(*arguments, *bind)
    process = subprocess.Popen(  # noqa: S603 - our own child
        command, cwd=project, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        assert process.stdout is not None
        said = process.stdout.readline() if "--json" in arguments else process.stderr.readline()
        assert "http://" in said, said + process.stderr.read()
        if "--json" in arguments:
            yield process, json.loads(said)["url"]
        else:
            yield process, said.split()[2].rstrip(",")
    finally:
        process.kill()
        process.communicate()


def token(project: Path, role: str) -> str:
    made = done(project, *swarm("token", "mint", "ada", "--role", role))
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def bearing(shown: str) -> dict[str, str]:
    return {"authorization": f"Bearer {shown}"}


def until(client: httpx2.Client, path: str, status: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for _ in range(400):
        shown = client.get(path).json()
        if shown["status"] == status:
            return shown
        time.sleep(0.05)
    raise AssertionError(shown)
