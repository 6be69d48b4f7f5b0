"""A thread cannot be stopped; the command whose step gave it up leaves all the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FUNCTIONS = """
import threading

def forever(n):
    threading.Event().wait()
"""
BLUEPRINT = {
    "swarm": 1,
    "id": "stuck",
    "agents": [{"name": "stuck", "kind": "function", "function": "forever", "timeout_s": 0.2}],
    "flow": {"kind": "step", "ref": "stuck", "in": {"op": "lit", "value": 1}},
}


def test_a_command_leaves_though_a_function_never_returns(tmp_path: Path) -> None:
    (tmp_path / "stuck.json").write_text(json.dumps(BLUEPRINT))
    (tmp_path / "work.py").write_text(FUNCTIONS)
    command = "from swarm.cli.main import main; main()"
    line = ["run", "stuck.json", "--function", "forever=work:forever", "--json"]
    # Without an end of its own the process would wait for the thread for ever.
    left = subprocess.run(  # noqa: S603 - our own command line
        [sys.executable, "-c", command, *line],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert left.returncode == 1, left.stderr
    assert json.loads(left.stdout)["error"]["code"] == "step.timeout"
