"""A real server, a real operator: what is in hand when the one ends is finished, once."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest

from tests.acceptance.served import bearing, done, serving, swarm, token, until
from tests.swarm.operating import free_port, step
from tests.swarm.raw_line import RawLine, request

# Says that it has begun, waits until it may go on, and says that it has ended.
WORK = """
import json, os, pathlib, sys, time
order = json.load(sys.stdin)
def note(name):
    with open(name, "a") as file:
        file.write(os.environ["SWARM_KEY"] + "\\n")
note("begun")
for _ in range(2400):
    if pathlib.Path("go").exists():
        break
    time.sleep(0.05)
note("ended")
print(json.dumps({"did": order["input"]}))
"""
MANY = 6


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "swarm.toml").write_text("")
    return tmp_path


@contextmanager
def operator(project: Path, url: str, *options: str) -> Generator[subprocess.Popen[bytes]]:
    (project / "ada.token").write_text(token(project, "operator"))
    command = swarm("operator", "connect", url, "--name", "ada", "--token-file", "ada.token")
    command += ["--seat", "reviewer", "--capacity", "3", "--exec", f"{sys.executable} work.py"]
    process = subprocess.Popen([*command, *options], cwd=project)  # noqa: S603 - our own child
    try:
        yield process
    finally:
        process.kill()
        process.wait(30)


def lines(file: Path) -> list[str]:
    return file.read_text().split() if file.exists() else []


def wait_for(holds: Callable[[], bool]) -> None:
    for _ in range(1200):
        if holds():
            return
        time.sleep(0.05)
    raise AssertionError("it did not come about in a minute")


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL], ids=lambda one: one.name)
def test_a_server_that_ends_loses_no_order_and_each_is_finished_once(
    project: Path, how: signal.Signals
) -> None:
    """Three orders are in hand and three wait when it ends; they are done while it is away."""
    bind = ("--bind", f"127.0.0.1:{free_port()}")
    senior = bearing(token(project, "senior"))
    with serving(project, "serve", *bind) as (server, url), operator(project, url) as ada:
        with httpx2.Client(base_url=url, headers=senior, timeout=30) as client:
            for n in range(MANY):
                order = {"document": step(), "input": {"given": n}, "run_id": f"r{n}"}
                assert client.post("/v1/runs", json=order).status_code == 201
            wait_for(lambda: len(lines(project / "begun")) == 3)
        began = time.monotonic()
        server.send_signal(how)
        assert server.wait(timeout=30) == (0 if how is signal.SIGTERM else -how)
        assert time.monotonic() - began < 10
        (project / "go").touch()
        wait_for(lambda: len(lines(project / "ended")) == 3)
        with (
            serving(project, "serve", *bind) as (again, url),
            httpx2.Client(base_url=url, headers=senior, timeout=30) as client,
        ):
            for n in range(MANY):
                assert until(client, f"/v1/runs/r{n}", "succeeded")["ctx"]["out"] == {"did": n}
                text = client.get(f"/v1/runs/r{n}/events", params={"form": "lines"}).text
                assert text.count('"kind":"step.finished"') == 1, text
            # Ctrl-C: he goes, and says so to the server.
            ada.send_signal(signal.SIGINT)
            assert ada.wait(timeout=30) == 130
            shown: Any = client.get("/v1/operators").json()["operators"]
            assert [one["orders"] for one in shown] in ([], [[]])
            again.send_signal(signal.SIGTERM)
            assert again.wait(timeout=30) == 0
    begun, ended = lines(project / "begun"), lines(project / "ended")
    assert sorted(begun) == sorted(ended) == sorted(f"r{n}/$/1" for n in range(MANY))


# Says nothing to whoever started it: it does the order at the server itself.
THIN = """
import json, os, sys, urllib.request
order = json.load(sys.stdin)
def ask(method, path, body=None):
    headers = {"Authorization": "Bearer " + order["token"], "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    url = os.environ["SWARM_URL"] + "/v1/step" + path
    asked = urllib.request.Request(url, data, headers, method=method)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        return json.loads(answer.read() or "null")
told = ask("GET", "")
ask("PUT", "/parts/note", {"value": told["prompt"]})
ask("POST", "/result", {"value": {"thin": told["input"]}, "usage": {"tokens": 3}})
"""


def test_a_thin_worker_does_the_order_that_was_handed_to_it(project: Path) -> None:
    (project / "work.py").write_text(THIN)
    senior = bearing(token(project, "senior"))
    with (
        serving(project, "serve") as (_, url),
        operator(project, url, "--hand-token"),
        httpx2.Client(base_url=url, headers=senior, timeout=30) as client,
    ):
        for n in range(3):
            order = {"document": step({"prompt": "p"}), "input": {"given": n}, "run_id": f"r{n}"}
            assert client.post("/v1/runs", json=order).status_code == 201
        for n in range(3):
            assert until(client, f"/v1/runs/r{n}", "succeeded")["ctx"]["out"] == {"thin": n}
            assert client.get(f"/v1/runs/r{n}/outputs/note").text == "p"
            text = client.get(f"/v1/runs/r{n}/events", params={"form": "lines"}).text
            assert text.count('"kind":"step.finished"') == 1
            assert '"tokens":3' in text


def test_a_server_that_is_told_to_end_tells_its_operators(project: Path) -> None:
    with serving(project, "serve") as (server, url):
        port, shown = int(url.rpartition(":")[2]), token(project, "operator")

        async def hear() -> int | None:
            line = await RawLine.shake(port, request(shown))
            await line.hello("ada")
            server.send_signal(signal.SIGTERM)
            await line.hear("drain")
            return await line.closed()

        assert anyio.run(hear) == 1012
        assert server.wait(timeout=30) == 0


def test_whoever_is_not_let_in_leaves_no_line_in_the_servers_output(project: Path) -> None:
    (project / "none.token").write_text("v1.nothing")
    with serving(project, "serve") as (server, url):
        words = ("operator", "connect", url, "--name", "ada", "--token-file", "none.token")
        turned_away = done(project, *swarm(*words, "--exec", "true"))
        assert turned_away.returncode == 4, turned_away.stderr
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=20) == 0
        assert server.stderr is not None
        assert server.stderr.read() == ""
