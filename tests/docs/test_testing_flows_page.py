"""docs/testing-flows.md: its blueprint, its tests and what they print; its tables, compared."""

from __future__ import annotations

import re
import shlex
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


def test_the_tables_name_every_expectation_and_every_answer() -> None:
    named = set(re.findall(r"^\| `test\.(\w+)", TEXT, re.MULTILINE))
    assert named == EXPECTATIONS | {"returns", "fails", "never", "real"}
