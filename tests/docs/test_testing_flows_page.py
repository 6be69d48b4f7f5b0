"""docs/testing-flows.md: its blueprint, its tests and what they print; its tables, compared."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from swarm.cli.main import invoke
from swarm.testing.expectations import EXPECTATIONS

TEXT = (Path(__file__).parents[2] / "docs/testing-flows.md").read_text("utf-8")


@pytest.fixture
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"^```lua\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE):
        name = re.match(r"-- (\w+\.lua)\n", block)
        assert name is not None
        (tmp_path / name[1]).write_text(block)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize("block", re.findall(r"^```console\n(.*?)^```$", TEXT, re.DOTALL | re.M))
def test_the_commands_print_what_the_page_shows(
    block: str, capsys: pytest.CaptureFixture[str]
) -> None:
    command, output = block.split("\n", 1)
    code = invoke(shlex.split(command)[2:])
    shown = capsys.readouterr()
    assert shown.out + shown.err == output
    assert code == (0 if "departed" not in output else 1)


@pytest.mark.usefixtures("_files")
def test_all_its_tests_pass_and_leave_nothing_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["test", "--fail-under", "100"]) == 0, capsys.readouterr().out


@pytest.mark.usefixtures("_files")
def test_its_python_example_passes(tmp_path: Path) -> None:
    block = re.search(r"^```python\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
    assert block is not None
    (tmp_path / "test_triage.py").write_text(block[1])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_triage.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_the_tables_name_every_expectation_and_every_answer() -> None:
    named = set(re.findall(r"^\| `test\.(\w+)", TEXT, re.MULTILINE))
    assert named == EXPECTATIONS | {"returns", "fails", "never", "real"}
