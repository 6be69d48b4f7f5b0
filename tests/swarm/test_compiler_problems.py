"""Every kind of problem: its exact line, and its twin without the mistake."""

from __future__ import annotations

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
from swarm.workers.process import ProcessFactory

Case = Mapping[str, Any]


def _cases() -> list[Case]:
    reader: Any = YAML(typ="safe", pure=True)
    return reader.load(Path(__file__).with_name("problems.yaml").read_text("utf-8"))


CASES = _cases()


def _shout(text: str) -> str:
    return text.upper()


def _load(file: str) -> CompiledBlueprint:
    registry = Registry([FunctionFactory(), LuaFactory(), ProcessFactory()], plugins=False)
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
