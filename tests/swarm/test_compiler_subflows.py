"""Agents that are blueprints: how their names are found, and every way in which they are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowir.errors import Problem as Finding
from flowir.wire import load
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.compiler.subflows import DEPTH, Embedder
from swarm.errors import BlueprintInvalid, Place, Problem, Refused

pytestmark = pytest.mark.anyio

NOTHING: Any = {"kind": "seq", "children": []}


def made(id: str, files: dict[str, str] | None = None) -> CompiledBlueprint:
    return CompiledBlueprint(
        id=id, flow=load(NOTHING), document={"id": id, "flow": NOTHING}, digest=f"digest of {id}",
        agents={}, workers={}, contracts={}, places={}, sources={},
        files=files or {},
    )  # fmt: skip


class Folder:
    """What a blueprint's folder and its store have; notes what was loaded, and from where."""

    def __init__(self, root: Path, above: int = 1, *, store: bool = True) -> None:
        self.root = root
        self.above = tuple(root / f"above{i}.lua" for i in range(above))
        self.loaded: list[tuple[str, tuple[Path, ...]]] = []
        self.wrong: list[Problem] = []
        self.embedder = Embedder(root, self.above, self.load, self.version if store else None)

    async def load(self, path: Path, above: tuple[Path, ...]) -> CompiledBlueprint:
        self.loaded.append((path.relative_to(self.root).as_posix(), above))
        if self.wrong:
            raise BlueprintInvalid(self.wrong)
        return made(path.stem, {path.name: "1", "sub/t.txt": "2"})

    async def version(self, name: str) -> CompiledBlueprint:
        if name == "gone":
            raise Refused("blueprint.unknown", "expected a blueprint of this store, got 'gone'")
        return made(name.partition("@")[0], {"stored.lua": "3"})

    async def agent(self, agent: Any) -> tuple[Any, list[str]]:
        document, found = await self.embedder.embedded(
            {"id": "a", "agents": [{"name": "x"}, agent]}
        )
        assert document["id"] == "a"
        assert document["agents"][0] == {"name": "x"}
        assert all(problem.at == "$.agents[1].blueprint" for problem in found)
        return document["agents"][1], [f"{p.code}: {p.message} — {p.hint}" for p in found]

    async def named(self, name: Any) -> list[str]:
        asked = {"kind": "flow", "blueprint": name}
        agent, found = await self.agent(asked)
        assert (agent == asked) is bool(found)
        return found


async def test_the_blueprint_of_a_file_is_put_in_with_its_digest_and_files(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    agent, found = await folder.agent({"kind": "flow", "name": "b", "blueprint": "sub/b.lua"})
    assert found == []
    assert agent == {
        "kind": "flow", "name": "b", "blueprint": "sub/b.lua",
        "document": {"id": "b", "flow": NOTHING}, "digest": "digest of b",
    }  # fmt: skip
    assert type(agent["document"]) is dict
    assert folder.loaded == [("sub/b.lua", folder.above)]
    assert folder.embedder.files == {"sub/b.lua": "1", "sub/sub/t.txt": "2"}
    await folder.agent({"kind": "flow", "blueprint": "./c.json"})
    assert folder.embedder.files.keys() >= {"sub/b.lua", "c.json", "sub/t.txt"}


async def test_a_version_of_the_store_is_put_in_and_has_no_files_here(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    agent, found = await folder.agent({"kind": "flow", "blueprint": "research@^1.2"})
    assert (agent["digest"], found) == ("digest of research", [])
    assert folder.embedder.files == {}
    assert folder.loaded == []


@pytest.mark.parametrize(
    "document",
    [
        None,
        5,
        {"id": "a"},
        {"agents": {"kind": "flow", "blueprint": "b.lua"}},
        {"agents": []},
        {
            "agents": [
                None,
                {"kind": "lua", "blueprint": "b.lua"},
                {"kind": "flow"},
                {"kind": "flow", "blueprint": "b.lua", "document": {}},
            ]
        },
    ],
)
async def test_what_names_no_blueprint_is_handed_on_itself(tmp_path: Path, document: Any) -> None:
    folder = Folder(tmp_path)
    same, found = await folder.embedder.embedded(document)
    assert same is document
    assert (found, folder.loaded) == ([], [])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "flow.path: expected the path of a blueprint, or its id in the store, got '' — None"),
        (5, "flow.path: expected the path of a blueprint, or its id in the store, got 5 — None"),
        (
            "../b.lua",
            ("flow.path: expected a file below the blueprint's own folder, got '../b.lua' — None"),
        ),
        (
            "/etc/b.lua",
            "flow.path: expected a file below the blueprint's own folder, got '/etc/b.lua' — None",
        ),
        ("gone", "flow.version: expected a blueprint of this store, got 'gone' — None"),
    ],
)
async def test_a_name_that_leads_nowhere_is_told_and_the_agent_stays(
    tmp_path: Path, name: Any, said: str
) -> None:
    folder = Folder(tmp_path)
    assert await folder.named(name) == [said]
    assert folder.loaded == []


async def test_without_a_store_only_files_can_be_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path, store=False)
    assert await folder.named("b.lua") == []
    assert await folder.named("research") == [
        (
            "flow.unavailable: expected the path of a blueprint's file, got 'research' — "
            "there is no store of blueprints here"
        )
    ]


async def test_a_circle_is_told_as_the_way_round(tmp_path: Path) -> None:
    folder = Folder(tmp_path, above=3)
    assert await folder.named("above2.lua") == [
        "flow.cycle: expected no circle, got above2.lua -> above2.lua — None"
    ]
    assert await folder.named("sub/../above1.lua") == [
        "flow.cycle: expected no circle, got above1.lua -> above2.lua -> above1.lua — None"
    ]


@pytest.mark.parametrize("name", ["b.lua", "research"])
async def test_blueprints_stand_within_each_other_only_so_deep(tmp_path: Path, name: str) -> None:
    assert DEPTH == 8
    assert await Folder(tmp_path, above=DEPTH).named(name) == []
    assert await Folder(tmp_path, above=DEPTH + 1).named(name) == [
        "flow.depth: expected at most 8 blueprints within each other, got one more — None"
    ]


async def test_what_is_wrong_within_is_told_of_who_names_it(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    where = Place("b.lua", 3)
    folder.wrong = [
        Problem("node.unknown", "expected a node, got 'x'", where),
        Problem("flow.cycle", "expected no circle, got b.lua -> b.lua", where),
        Problem("flow.depth", "expected at most 8 blueprints within each other", where),
    ]
    agent, found = await folder.embedder.embedded(
        {"agents": [{"kind": "flow", "blueprint": "b.lua"}]}
    )
    assert agent["agents"] == [{"kind": "flow", "blueprint": "b.lua"}]
    at = "$.agents[0].blueprint"
    assert found == [
        Finding("flow.invalid", at, "'b.lua': b.lua:3: node.unknown: expected a node, got 'x'"),
        Finding("flow.cycle", at, "expected no circle, got b.lua -> b.lua"),
        Finding("flow.depth", at, "expected at most 8 blueprints within each other"),
    ]
