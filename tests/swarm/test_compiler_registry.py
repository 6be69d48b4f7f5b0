from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from swarm import Host
from swarm.blueprint.agent import AgentSpec
from swarm.compiler.compile import compile_document
from swarm.compiler.registry import Registry
from swarm.errors import BlueprintInvalid, Refused
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import FieldProblem, Toolbox


class Factory:
    """A factory that is only ever looked up."""

    fields = frozenset[str]()
    required = frozenset[str]()

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def problems(self, agent: AgentSpec, tools: Toolbox) -> Iterable[FieldProblem]:
        return ()

    def build(self, agent: AgentSpec, tools: Toolbox) -> Any:
        raise NotImplementedError


PLUGIN = """
class Images:
    kind = "images"
    fields = required = frozenset()
    def problems(self, agent, tools):
        return ()

ready = Images()

class Misnamed(Images):
    kind = "sounds"
"""


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A distribution on the path, as pip would install it."""
    (tmp_path / "swarm_images_plugin.py").write_text(PLUGIN)
    info = tmp_path / "swarm_images-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: swarm-images\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[swarm.workers]\n"
        "images = swarm_images_plugin:Images\n"
        "gone = swarm_images_plugin:nothing\n"
        "misnamed = swarm_images_plugin:Misnamed\n"
        "lua = swarm_images_plugin:ready\n"
    )
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    return tmp_path


def test_a_kind_is_found_by_its_name() -> None:
    factory = Factory("paint")
    registry = Registry([factory], plugins=False)
    assert registry.get("paint") is factory
    assert registry.get("pain") is None
    assert registry.kinds() == ("paint",)


def test_a_kind_is_registered_once() -> None:
    registry = Registry([Factory("paint")], plugins=False)
    with pytest.raises(Refused, match="'paint'") as caught:
        registry.register(Factory("paint"))
    assert caught.value.code == "kind.taken"


def test_an_entry_point_brings_a_kind(plugins: Path) -> None:
    registry = Registry()
    assert {"images", "gone", "misnamed"} <= set(registry.kinds())
    found = registry.get("images")
    assert found is not None
    assert found.kind == "images"
    assert registry.get("images") is found


def test_what_the_host_registered_hides_an_entry_point(plugins: Path) -> None:
    factory = Factory("lua")
    assert Registry([factory]).get("lua") is factory


@pytest.mark.parametrize(("kind", "why"), [("gone", "AttributeError"), ("misnamed", "'sounds'")])
def test_a_broken_entry_point_harms_nobody_else(plugins: Path, kind: str, why: str) -> None:
    registry = Registry()
    assert registry.get(kind) is None
    assert why in (registry.failure(kind) or "")
    assert kind not in registry.kinds()
    assert registry.get("images") is not None
    assert registry.failure("images") is None


def test_without_plugins_none_are_looked_for(plugins: Path) -> None:
    assert Registry(plugins=False).kinds() == ()


def test_an_agent_of_a_broken_kind_is_told_why(plugins: Path) -> None:
    document = {
        "swarm": 1,
        "id": "a",
        "agents": [{"name": "artist", "kind": "gone"}],
        "flow": {"kind": "step", "ref": "artist", "in": "null"},
    }
    with pytest.raises(BlueprintInvalid) as caught:
        compile_document(document, registry=Registry(), tools=Toolbox(InlineScripts(), {}))
    (problem,) = caught.value.problems
    assert problem.code == "agent.kind_broken"
    assert "swarm_images_plugin:nothing: AttributeError" in problem.message


WORKING = """
from flowir import WorkerFailure
from swarm.ports.worker import FieldProblem, Outcome

class Painter:
    kind = "painter"
    fields = frozenset({"size", "colour"})
    required = frozenset({"size"})

    def problems(self, agent, tools):
        if not isinstance(agent.settings["size"], int):
            yield FieldProblem("painter.size", "size", "expected a number of pixels, got none")

    def build(self, agent, tools):
        async def paint(call, link):
            size = agent.settings["size"]
            return Outcome({"size": size, "model": call.spec.model, "of": call.input})
        return paint
"""


@pytest.fixture
def painter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel's content, installed into a folder of the path."""
    (tmp_path / "acme_painter.py").write_text(WORKING)
    info = tmp_path / "acme_painter-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-painter\nVersion: 2.0\n")
    (info / "RECORD").write_text("acme_painter.py,,\nacme_painter-2.0.dist-info/METADATA,,\n")
    (info / "entry_points.txt").write_text("[swarm.workers]\npainter = acme_painter:Painter\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])


def painting(**settings: Any) -> dict[str, Any]:
    agent = {"name": "ada", "kind": "painter", **settings}
    flow = {"kind": "step", "ref": "ada", "in": "'tea'", "out": "$.picture"}
    return {"swarm": 1, "id": "a", "agents": [agent], "flow": flow}


@pytest.mark.anyio
async def test_a_kind_of_an_installed_distribution_does_steps(painter: None) -> None:
    async with Host.in_memory() as host:
        blueprint = await host.load(painting(size=3, model="oil", verdict=["DONE"]))
        outcome = await (await host.start(blueprint)).wait()
        assert outcome.error is not None
        assert outcome.error["cause_code"] == "agent.verdict"
        run = await host.start(await host.load(painting(size=3, model="oil")))
        assert (await run.result())["picture"] == {"size": 3, "model": "oil", "of": "tea"}


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"size": 3, "color": "red"}, "got 'color' — did you mean 'colour'?"),
        ({"szie": 3}, "expected a field of kind 'painter', got 'szie' — did you mean 'size'?"),
        ({"colour": "red"}, "agent.field_missing: agent 'ada': expected a field 'size', got none"),
        ({"size": "3"}, "painter.size: agent 'ada': size: expected a number of pixels, got none"),
        ({"size": 3, "kind": "paintr"}, "got 'paintr' — did you mean 'painter'?"),
    ],
)
async def test_a_kind_of_an_installed_distribution_is_judged_as_strictly(
    painter: None, settings: dict[str, Any], said: str
) -> None:
    async with Host.in_memory() as host:
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(painting(**settings))
    (problem,) = caught.value.problems
    assert str(problem).endswith(said)
