"""`swarm serve` and `swarm dev` as real processes: ports, signals, and what survives them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx2
import pytest

from swarm.cli.main import invoke
from tests.acceptance.served import CODE, bearing, done, serving, swarm, token, until

TOOLS = """
import time
def slow(input):
    time.sleep(600)
"""
SLOW: dict[str, Any] = {
    "swarm": 1,
    "id": "slow",
    "agents": [{"name": "slow", "kind": "function", "function": "slow"}],
    "flow": {"kind": "step", "ref": "slow", "in": "1", "out": "ctx.a"},
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tools.py").write_text(TOOLS)
    (tmp_path / "swarm.toml").write_text('[functions]\nslow = "tools.py:slow"\n')
    (tmp_path / "bp").mkdir()
    return tmp_path


def test_sigterm_drains_and_what_ran_goes_on_with_the_next_server(project: Path) -> None:
    """The step is a thread that sleeps for ten minutes: nobody waits for it."""
    with serving(project, "serve", "--json") as (process, url):
        senior = token(project, "senior")
        with httpx2.Client(base_url=url, headers=bearing(senior), timeout=30) as client:
            order = {"document": SLOW, "run_id": "mine"}
            assert client.post("/v1/runs", json=order).status_code == 201
            with client.stream("GET", "/v1/runs/mine/events") as stream:
                lines = stream.iter_lines()
                assert any("step.started" in line for line in lines)
                process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                rest = list(lines)
        # The watcher saw how it ended for now, and not a line that broke.
        assert any("run.interrupted" in line for line in rest), rest
        assert process.wait(timeout=20) == 0
        assert time.monotonic() - began < 10
    with (
        serving(project, "serve") as (process, url),
        httpx2.Client(base_url=url, headers=bearing(senior), timeout=30) as client,
    ):
        shown = until(client, "/v1/runs/mine", "running")
        assert shown["live"] is True
        text = client.get("/v1/runs/mine/events", params={"follow": "false"}).text
        assert "run.resumed" in text
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130


def test_an_address_that_cannot_be_listened_on_is_one_sentence(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(project)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = {
            "127.0.0.1": "HOST:PORT",
            "127.0.0.1:99999": "HOST:PORT",
            f"127.0.0.1:{taken.getsockname()[1]}": "cannot listen",
        }
        for bind, said in wrong.items():
            assert invoke(["serve", "--bind", bind]) == 2
            told = capsys.readouterr().err
            assert told.startswith("http.bind: ")
            assert said in told
            assert len(told.splitlines()) == 1
    assert invoke(["serve", "--bind", "no-host.invalid:7777"]) == 2
    told = capsys.readouterr().err
    assert "cannot listen" in told
    assert "unknown error" not in told
    assert invoke(["serve", "--store", ":memory:"]) == 2
    assert "signed with its keys" in capsys.readouterr().err


def test_a_store_that_another_has_is_one_sentence(project: Path) -> None:
    with serving(project, "serve"):
        for command in (("serve",), ("dev", "bp")):
            again = done(project, *swarm(*command, "--bind", "127.0.0.1:0"))
            assert (again.returncode, again.stdout) == (2, "")
            assert again.stderr.startswith("store.locked: ")
            assert len(again.stderr.splitlines()) == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_an_address_that_cannot_be_told_is_one_sentence(project: Path) -> None:
    with open("/dev/full", "w") as full:
        ran = subprocess.run(  # noqa: S603 - our own child
            swarm("serve", "--json", "--bind", "127.0.0.1:0"),
            cwd=project, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (1, "stdout: no space left on device\n")


def test_without_the_extra_it_says_what_to_install(project: Path) -> None:
    code = f"import sys; sys.modules['fastapi'] = None; sys.argv[1:] = ['serve']; {CODE}"
    ran = done(project, sys.executable, "-c", code)
    assert ran.returncode == 2
    assert ran.stderr.splitlines() == [
        (
            "http.missing: serve: expected the extra 'server', got no module 'fastapi' — "
            "pip install 'lua-swarm[server]'"
        )
    ]


def test_what_it_says_to_install_needs_nobody_to_offer_swarm(project: Path) -> None:
    """Whoever has swarm, from wherever, gets the rest: it is not looked for by its name again."""
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    ran = done(project, *pip, "install", "--no-index", "--dry-run", "lua-swarm[server]")
    assert ran.returncode == 0, ran.stderr


def test_importing_swarm_loads_nothing_of_it() -> None:
    code = (
        "import sys, swarm; swarm.Host.in_memory()\n"
        "print([m for m in ('fastapi', 'uvicorn', 'httpx2', 'prometheus_client') "
        "if m in sys.modules])"
    )
    ran = done(Path.cwd(), sys.executable, "-c", code)
    assert ran.stdout.strip() == "[]"


def test_what_is_saved_is_compiled_at_once_and_told_on_its_lines(project: Path) -> None:
    script = (
        'local flow = require "flow"\n'
        'return flow.blueprint { id = "mine", agents = {},\n'
        '  flow = flow.assign { at = "ctx.a", value = 1 } }\n'
    )
    (project / "bp" / "mine.lua").write_text(script)
    with serving(project, "dev", "bp") as (process, url):
        assert process.stderr is not None
        assert process.stdout is not None
        assert process.stderr.readline() == "bp/mine.lua: mine@1.0.0 registered\n"
        (project / "bp" / "mine.lua").write_text(script.replace("ctx.a", "ctx a"))
        assert process.stdout.readline().startswith("bp/mine.lua:3: ")
        (project / "bp" / "mine.lua").write_text(script.replace("value = 1", "value = 2"))
        assert process.stderr.readline() == "bp/mine.lua: mine@1.0.1 registered\n"
        file = project / ".swarm" / "dev.token"
        assert file.stat().st_mode & 0o777 == 0o600
        with httpx2.Client(base_url=url, headers=bearing(file.read_text().strip())) as client:
            made = client.post("/v1/runs", json={"blueprint": "mine"}).json()
            assert until(client, f"/v1/runs/{made['id']}", "succeeded")["ctx"] == {"a": 2}
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
