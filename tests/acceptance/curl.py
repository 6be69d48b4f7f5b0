"""`curl` where there is none: the few of its options that the pages use, and no others.

A page that is walked says `curl`, and is not left out because a machine lacks it: `stand_in`
writes a command of that name which sends the very request. `-s` and `-N` need nothing here:
there is no progress to show, and what comes is passed on at once.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx2

__all__ = ("main", "stand_in")


def stand_in(folder: Path) -> Path:
    """Write the command into *folder*, for this interpreter; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    command = folder / "curl"
    command.write_text(
        f"#!{sys.executable}\nfrom tests.acceptance.curl import main\n\nraise SystemExit(main())\n"
    )
    command.chmod(0o755)
    return folder


def main() -> int:
    """Send the request that the command line stands for; print the body as it comes."""
    parser = argparse.ArgumentParser(prog="curl", allow_abbrev=False)
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-N", action="store_true")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    parser.add_argument("-X", dest="method")
    parser.add_argument("-d", dest="data")
    parser.add_argument("url")
    given = parser.parse_args()
    headers = dict(line.split(": ", 1) for line in given.headers)
    if given.data is not None:
        # As curl does, which takes a body for a form unless it is told otherwise.
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        headers = (form if "content-type" not in map(str.lower, headers) else {}) | headers
    method = given.method or ("GET" if given.data is None else "POST")
    content = None if given.data is None else given.data.encode()
    try:
        with (
            httpx2.Client(timeout=60) as client,
            client.stream(method, given.url, headers=headers, content=content) as answer,
        ):
            for piece in answer.iter_bytes():
                sys.stdout.buffer.write(piece)
                sys.stdout.buffer.flush()
    except httpx2.ConnectError:
        return 7
    except BrokenPipeError:
        return 23
    return 0
