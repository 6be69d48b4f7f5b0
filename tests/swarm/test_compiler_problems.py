"""Every kind of problem: its exact line, and its twin without the mistake."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest
from ruamel.yaml import YAML

from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.load import load_blueprint
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox
from swarm.workers.function import FunctionFactory
from swarm.workers.lua import LuaFactory
from swarm.workers.process.factory import ProcessFactory
from swarm.workers.sleep import SleepFactory

Case = Mapping[str, Any]


def _cases() -> list[Case]:
    reader: Any = YAML(typ="safe", pure=True)
    return reader.load(Path(__file__).with_name("problems.yaml").read_text("utf-8"))


CASES = _cases()


def _shout(text: str) -> str:
    return text.upper()


def _load(file: str) -> CompiledBlueprint:
    registry = Registry(
        [FunctionFactory(), LuaFactory(), ProcessFactory(), SleepFactory()], plugins=False
    )
    tools = Toolbox(InlineScripts(), {"shout": _shout}, includes={"shared": Path("shared")})
    return anyio.run(partial(load_blueprint, file, registry=registry, tools=tools))


def _problems(file: str) -> list[str]:
    with pytest.raises(BlueprintInvalid) as caught:
        _load(file)
    return [str(problem) for problem in caught.value.problems]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write(case: Case, folder: Path, fix: Mapping[str, str]) -> None:
    """Write the files of a case, with its mistake or without."""
    (folder / "shared").mkdir()
    for name, text in {case["file"]: case["text"], **case.get("with", {})}.items():
        for wrong, right in fix.items():
            text = text.replace(wrong, right)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    for name, data in case.get("bytes", {}).items():
        (folder / name).write_bytes(bytes.fromhex(data))
    for name, target in case.get("links", {}).items():
        (folder / name).symlink_to(target)


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_a_mistake_is_one_sentence_on_its_line(case: Case, folder: Path) -> None:
    _write(case, folder, {})
    assert _problems(case["file"]) == case["expect"]


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_without_the_mistake_there_is_no_problem(case: Case, folder: Path) -> None:
    _write(case, folder, case["fix"])
    assert _load(case["file"]).id


def test_the_cases_have_names_of_their_own() -> None:
    names = [case["name"] for case in CASES]
    assert len(set(names)) == len(names)


def test_there_are_many_rules_and_not_only_many_fields() -> None:
    """Cases differ in rule: what is between the quotes is the author's, and left out."""
    rules = {_rule(case["expect"][0]) for case in CASES}
    codes = {case["expect"][0].split(": ")[1] for case in CASES}
    print(f"problems: {len(CASES)} cases, {len(rules)} rules, {len(codes)} codes")  # noqa: T201
    assert len(rules) >= 80
    assert len(codes) >= 40


def _rule(line: str) -> str:
    """Return a problem's code and what was expected, without the author's own words."""
    _, code, rest = line.split(": ", 2)
    return code + re.sub(
        r"'[^']*'|[0-9]+", "…", rest.partition("expected")[2].partition(", got")[0]
    )


def test_a_document_with_several_mistakes_shows_them_all(folder: Path) -> None:
    (folder / "critic.md").write_text("---\nkind: lua\nsource: retrun 1\nmodl: x\n---\n", "utf-8")
    (folder / "a.lua").write_text(SEVERAL, "utf-8")
    assert sorted(problem.split(": ")[:2] for problem in _problems("a.lua")) == [
        ["a.lua:11", "agent.unknown"],
        ["a.lua:11", "malformed"],
        ["a.lua:13", "verdict.unknown"],
        ["a.lua:14", "cond.not_boolean"],
        ["a.lua:15", "node.unreachable"],
        ["a.lua:2", "agent.schema"],
        ["a.lua:2", "verdict.words"],
        ["a.lua:3", "agent.kind_unknown"],
        ["a.lua:4", "agent.unused"],
        ["a.lua:6", "blueprint.id"],
        ["a.lua:8", "file.missing"],
        ["a.lua:9", "inputs.schema"],
        ["critic.md:3", "script.syntax"],
        ["critic.md:4", "agent.front_matter"],
    ]


SEVERAL = """local flow = require "flow"
local judge = flow.lua "judge" { source = "", verdict = {"A", "a"}, output_schema = { type = 1 } }
local painter = flow.agent "painter" { kind = "paint" }
local idle = flow.lua "idle" [[ return 1 ]]
return flow.blueprint {
  id = "Several",
  agents = { judge, painter, idle, flow.agent_md "critic.md" },
  files = { "gone/*" },
  inputs = { type = "objekt" },
  flow = flow.seq {
    flow.step { agent = "jugde", input = "ctx.a +", out = "ctx.x" }, flow.step { agent = "critic" },
    flow.step { agent = judge, out = "ctx.v" }, flow.step { agent = painter },
    flow.branch { when = 'ctx.v == "C"', run = flow.seq {}, otherwise = flow.seq {} },
    flow.branch { when = "#ctx.v", run = flow.fail("a.b", "'no'") }, flow.fail("a.b", "'no'"),
    flow.assign { at = "ctx.y", value = 1 },
  },
}
"""
