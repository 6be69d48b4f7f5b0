"""`swarm init`: a project that passes its own tests; stubs that say what the source says."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from swarm.cli.init import project_files
from swarm.cli.main import invoke
from swarm.cli.stubs import MODULES, stub_of
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script


def test_a_new_project_passes_its_own_tests_whole_and_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["init", "new"]) == 0
    assert set(capsys.readouterr().out.split()) == {f"new/{name}" for name in project_files()}
    monkeypatch.chdir(tmp_path / "new")
    assert invoke(["check", "draft.lua", "draft_test.lua"]) == 0
    assert invoke(["test", "--fail-under", "100"]) == 0, capsys.readouterr().out
    capsys.readouterr()
    assert invoke(["run", "draft.lua", "--set", "topic=tea"]) == 0
    assert json.loads(capsys.readouterr().out)["verdict"] == "PASS"


def test_an_empty_folder_will_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert invoke(["init"]) == 0
    assert (tmp_path / ".luarc.json").is_file()


@pytest.mark.parametrize("name", ["x", "sub/.hidden"])
def test_a_folder_that_is_not_empty_is_left_alone(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    before = sorted(tmp_path.rglob("*"))
    assert invoke(["init", str(tmp_path)]) == 2
    assert "expected an empty folder" in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before
    if name == "x":
        assert invoke(["init", str(tmp_path / "x")]) == 2
        assert "expected a folder, got something else" in capsys.readouterr().err
        assert invoke(["init", str(tmp_path / "x" / "y")]) == 2


@pytest.mark.anyio
@pytest.mark.parametrize("module", MODULES)
async def test_a_stub_is_lua_and_names_all_that_its_module_offers(module: str) -> None:
    scripts, stub = InlineScripts(), stub_of(module)
    assert scripts.syntax_error(Script("stub.lua", stub)) is None
    names = f"""
    local module = require "{module}"
    local names = {{}}
    for name in pairs(module) do names[#names + 1] = name end
    return {{ names = names }}
    """
    told = await scripts.author(Script("names.lua", names), folder=None)
    local = module.rpartition(".")[2]
    assert set(re.findall(rf"^(?:function )?{local}\.(\w+)", stub, re.MULTILINE)) == set(
        told["names"]
    )


def test_a_stub_tells_parameters_and_their_types() -> None:
    stub = stub_of("flow.test")
    assert "---@param agents string[] each attempt counts\n---@return any\n" in stub
    assert "function test.input(agent, nth, input) end" in stub
    assert "---@param count? number how many; else one or more" in stub


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def test_no_name_is_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["init", ""]) == 2
    assert capsys.readouterr().err == "DIR: expected a folder's name, got ''\n"
