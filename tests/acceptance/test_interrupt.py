"""Ctrl-C: the run rests, or is cancelled where it cannot rest, and its processes are gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SLEEPER = {
    "swarm": 1,
    "id": "sleeper",
    "agents": [
        {
            "name": "sleeper",
            "kind": "process",
            "argv": ["sh", "-c", "[ -e pid ] || {{ echo $$ > pid; sleep 300; }}"],
        }
    ],
    "flow": {"kind": "step", "ref": "sleeper", "in": {"op": "lit", "value": ""}},
}


def _wait_until_started(file: Path, run: subprocess.Popen[str]) -> int:
    for _ in range(1000):
        if file.is_file() and file.read_text().strip():
            return int(file.read_text())
        assert run.poll() is None, run.communicate()[1]
        time.sleep(0.02)
    raise AssertionError("the step never started")


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(("store", "status"), [("state", "interrupted"), (":memory:", "cancelled")])
def test_a_signal_ends_the_run_here_and_its_process_and_exits_130(
    tmp_path: Path, number: signal.Signals, store: str, status: str
) -> None:
    (tmp_path / "sleeper.json").write_text(json.dumps(SLEEPER))
    run = subprocess.Popen(  # noqa: S603 - our own command line
        [
            sys.executable,
            "-c",
            "from swarm.cli.main import main; main()",
            "run",
            "sleeper.json",
            "--run-id",
            "nap",
            "--json",
            "--store",
            store,
        ],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        child = _wait_until_started(tmp_path / "pid", run)
        run.send_signal(number)
        out, err = run.communicate(timeout=30)
    finally:
        run.kill()
    assert run.returncode == 130, err
    assert json.loads(out)["status"] == status
    assert "Traceback" not in err
    assert not _alive(child)
    if status == "interrupted":
        command = [sys.executable, "-c", "from swarm.cli.main import main; main()"]
        resumed = subprocess.run(  # noqa: S603 - our own command line
            [*command, "runs", "resume", "nap", "--store", store],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert resumed.returncode == 0, resumed.stderr
