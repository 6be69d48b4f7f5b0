"""What becomes of a command whose streams are missing, full, or read by nobody."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

BLUEPRINT = """local flow = require "flow"
local teller = flow.lua "teller" [[ swarm.progress("on it") return input.n + 1 ]]
return flow.blueprint {
  id = "teller", agents = { teller },
  flow = flow.step { agent = teller, input = { n = "ctx.n" }, out = "ctx.told" },
}
"""
RUN = "run teller.lua --set n=1 --store :memory:"
CONTEXT = '{\n  "n": 1,\n  "told": 2\n}\n'


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("teller.lua").write_text(BLUEPRINT)


def _in_a_shell(line: str) -> subprocess.CompletedProcess[str]:
    """Run `$SWARM …` with the redirections of a shell."""
    return subprocess.run(  # noqa: S603  the lines are ours
        ["/bin/sh", "-c", line],
        env={"PATH": "/usr/bin:/bin", "SWARM": f"{Path(sys.executable).parent / 'swarm'}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    "line", [f"{RUN} >/dev/full", "build teller.lua >/dev/full", "--help >/dev/full"]
)
def test_a_result_that_cannot_be_written_is_a_sentence_and_exit_1(line: str) -> None:
    done = _in_a_shell(f"$SWARM {line}")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("no space left on device")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("redirection", ["2>/dev/full", "2>&-", "<&-", "2>&- <&-"])
def test_a_run_whose_progress_nobody_can_hear_gives_its_result(redirection: str) -> None:
    done = _in_a_shell(f"$SWARM {RUN} {redirection}")
    assert (done.returncode, done.stdout) == (0, CONTEXT)
    assert "Traceback" not in done.stderr


def test_a_run_whose_progress_has_lost_its_reader_gives_its_result() -> None:
    done = _in_a_shell(f"( $SWARM {RUN} 2>&1 >out; echo $? >code ) | true; cat code out")
    assert done.stdout == "0\n" + CONTEXT


@pytest.mark.parametrize("redirection", [">&-", ">&- 2>&- <&-"])
def test_a_command_without_a_stdout_does_its_work(redirection: str) -> None:
    done = _in_a_shell(f"$SWARM run teller.lua --set n=1 --run-id r {redirection}")
    assert (done.returncode, done.stdout) == (0, "")
    assert "Traceback" not in done.stderr
    # No message ever went into a file of the store that had the number of the stream.
    assert _in_a_shell("$SWARM runs show r").stdout.startswith("r  succeeded")


def test_input_from_a_closed_stdin_is_an_empty_text() -> None:
    done = _in_a_shell("$SWARM run teller.lua --input - <&-")
    assert done.returncode == 2
    assert done.stderr.startswith("--input -: expected JSON, got the end of the text")
