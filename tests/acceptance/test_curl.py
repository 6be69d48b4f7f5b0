"""What stands in for `curl` sends what `curl` sends."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.acceptance.curl import stand_in
from tests.acceptance.walking import ROOT

_OURS = ("authorization", "content-type", "accept", "content-length")


class _Echo(BaseHTTPRequestHandler):
    """Tells a request as JSON, with the headers that decide something."""

    def _tell(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()
        headers = {name: self.headers[name] for name in _OURS if name in self.headers}
        said = json.dumps([self.command, self.path, headers, body]).encode()
        self.send_response(409)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_POST = do_PUT = _tell  # noqa: N815 - the names that the library calls

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def url() -> Generator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Echo) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/a?b=1&c=%20"
        server.shutdown()
        thread.join(30)


def _sent(path: str, *words: str) -> tuple[int, str]:
    done = subprocess.run(  # noqa: S603 - our own command, or curl
        [shutil.which("curl", path=path) or "curl", *words],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


BEARER = ("-H", "Authorization: Bearer v1.a.b.c")
DECLARED = ("-H", "Content-Type: application/json")
REQUESTS: list[tuple[tuple[str, ...], list[Any]]] = [
    (("-s", "-N", *BEARER), ["GET", ""]),
    (("-s", *BEARER, *DECLARED, "-d", '{"value": "PASS"}'), ["POST", '{"value": "PASS"}']),
    (("-s", "-d", "ä=1"), ["POST", "ä=1"]),
    (("-X", "PUT", *BEARER, *DECLARED, "-d", "{}"), ["PUT", "{}"]),
]


def test_the_stand_in_sends_the_requests_of_pages_as_curl_does(url: str, tmp_path: Path) -> None:
    paths = [str(stand_in(tmp_path / "bin"))]
    if shutil.which("curl") is not None:
        paths.append(os.environ["PATH"])
    for words, expected in REQUESTS:
        told = [_sent(path, *words, url) for path in paths]
        assert told == [told[0]] * len(paths)
        code, out = told[0]
        method, path, headers, body = json.loads(out)
        assert (code, path) == (0, "/a?b=1&c=%20")
        assert [method, body] == expected
        assert ("authorization" in headers) == ("-H" in words)


def test_the_stand_in_refuses_what_it_does_not_know(tmp_path: Path, url: str) -> None:
    """So that a page which says more is not taken to say less."""
    path = str(stand_in(tmp_path / "bin"))
    assert _sent(path, "--head", url)[0] == 2
    assert _sent(path, "-s", "http://127.0.0.1:1/")[0] == 7
