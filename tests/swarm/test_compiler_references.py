"""Texts, agents and files that a document names: in it when it is compiled, and for good."""

from __future__ import annotations

import hashlib
import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import Host, Refused
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.cli.main import invoke
from swarm.compiler.blame import PlacedFinding
from swarm.compiler.load import load_blueprint
from swarm.compiler.references import Gathered, gathered
from swarm.compiler.registry import Registry
from swarm.compiler.shelf import Shelf
from swarm.errors import BlueprintInvalid, Place
from swarm.lua.runner import InlineScripts
from swarm.ports.worker import Toolbox
from swarm.workers.lua import LuaFactory

CRITIC = """---
kind: lua
verdict: [PASS, BLOCKED]
source: { $file: critic.lua }
owner: Ada
---
Be brief.
"""
SCRIPT = """local flow = require "flow"
local critic = flow.agent_md "agents/critic.md"
local writer = flow.lua "writer" { source = flow.file "writer.lua", tags = { "t" } }
return flow.blueprint {
  id = "a",
  description = flow.file "about.txt",
  agents = { critic, writer },
  files = { "tools/*" },
  flow = flow.seq {
    flow.assign { at = "ctx.tone", value = { words = flow.file "about.txt", n = 1 } },
    flow.step { agent = writer, input = "ctx.tone.words", out = "ctx.draft" },
    flow.step { agent = critic, input = "ctx.draft", out = "ctx.review" },
  },
}
"""
FILES = {
    "a.lua": SCRIPT,
    "about.txt": "An 'essay'.\n",
    "agents/critic.md": CRITIC,
    "critic.lua": "return #input > 3 and 'PASS' or 'BLOCKED'",
    "writer.lua": "return input .. '!'",
    "tools/one.sh": "echo 1",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, FILES)
    return tmp_path


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")


def load(source: Any, **includes: Path) -> CompiledBlueprint:
    registry = Registry([LuaFactory()], plugins=False)
    tools = Toolbox(InlineScripts(), {}, Path.cwd(), includes)
    return anyio.run(partial(load_blueprint, source, registry=registry, tools=tools))


def problems(source: Any) -> list[str]:
    with pytest.raises(BlueprintInvalid) as caught:
        load(source)
    return [str(problem) for problem in caught.value.problems]


def test_what_is_named_is_in_the_document(folder: Path) -> None:
    document = load("a.lua").document
    critic, writer = document["agents"]
    assert document["description"] == "An 'essay'.\n"
    assert critic == {
        "name": "critic",
        "kind": "lua",
        "verdict": ["PASS", "BLOCKED"],
        "source": FILES["critic.lua"],
        "extra": {"owner": "Ada"},
        "instructions": "Be brief.",
    }
    assert writer["source"] == FILES["writer.lua"]
    first, _, last = document["flow"]["children"]
    assert first["value"]["fields"]["words"] == {"op": "lit", "value": "An 'essay'.\n"}
    assert last["ref"] == "critic"
    assert "$file" not in json.dumps(document)


def test_the_compiled_blueprint_knows_every_file_by_its_digest(folder: Path) -> None:
    found = load("a.lua")
    assert found.files == {
        name: hashlib.sha256(text.encode()).hexdigest() for name, text in FILES.items()
    }
    assert found.document["files"] == {"tools/one.sh": found.files["tools/one.sh"]}


def test_modules_are_among_the_files(folder: Path) -> None:
    head = 'local flow = require "flow"\n'
    module = head + "return { made = flow.seq {} }\n"
    main = head + "return flow.blueprint { id = 'm', flow = require('lib.parts').made }\n"
    write(folder, {"lib/parts.lua": module, "m.lua": main})
    assert set(load("m.lua").files) == {"m.lua", "lib/parts.lua"}


def test_the_same_in_json_is_the_same_blueprint(folder: Path) -> None:
    written = {
        "swarm": 1,
        "id": "a",
        "description": {"$file": "about.txt"},
        "agents": [
            {"$agent_md": "agents/critic.md"},
            {"name": "writer", "kind": "lua", "source": {"$file": "writer.lua"}, "tags": ["t"]},
        ],
        "files": ["tools/one.sh"],
        "flow": {
            "kind": "seq",
            "children": [
                {
                    "kind": "assign",
                    "at": "$.tone",
                    "value": {
                        "op": "object",
                        "fields": {"words": {"$file": "about.txt"}, "n": "1"},
                    },
                },
                {"kind": "step", "ref": "writer", "in": "ctx.tone.words", "out": "$.draft"},
                {"kind": "step", "ref": "agents/critic.md", "in": "ctx.draft", "out": "$.review"},
            ],
        },
    }
    write(folder, {"b.json": json.dumps(written)})
    assert load("b.json").digest == load("a.lua").digest


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_file_changes_the_digest_and_nothing_else_does(folder: Path, name: str) -> None:
    before = load("a.lua").digest
    write(folder, {"unnamed.txt": "x"})
    assert load("a.lua").digest == before
    change = "-- a comment\n" if name == "a.lua" else "x"
    text = FILES[name]
    write(folder, {name: change + text if name == "a.lua" else text.replace("e", "e" + change, 1)})
    if name == "agents/critic.md":
        write(folder, {name: text.replace("brief", "kind")})
    try:
        changed = load("a.lua").digest != before
    except BlueprintInvalid:
        changed = True
    assert changed is (name != "a.lua")


def test_a_built_document_needs_no_text_any_more(folder: Path) -> None:
    built = load("a.lua")
    elsewhere = folder / "elsewhere"
    write(elsewhere, {"b.json": json.dumps(built.document), "tools/one.sh": "echo 1"})
    assert load("elsewhere/b.json").digest == built.digest
    write(elsewhere, {"tools/one.sh": "echo 2"})
    (problem,) = problems("elsewhere/b.json")
    assert "file.changed" in problem


@pytest.mark.anyio
async def test_a_run_depends_on_no_file_that_was_named(folder: Path) -> None:
    async with Host(folder / "state", scripts="inline") as host:
        blueprint = await host.load("a.lua")
        shutil.rmtree(folder / "agents")
        (folder / "writer.lua").unlink()
        run = await host.start(blueprint, run_id="r_1")
        assert (await run.result())["review"] == "PASS"
    async with Host(folder / "state", scripts="inline") as host:
        again = await host.rerun("r_1", from_step="$.children[2]")
        assert (await again.result())["review"] == "PASS"


def test_text_in_literal_data_is_data(folder: Path) -> None:
    value = {"op": "lit", "value": {"$file": "/etc/passwd"}}
    document = {"swarm": 1, "id": "a", "flow": {"kind": "assign", "at": "$.a", "value": value}}
    assert load(document).document["flow"]["value"] == value


def test_a_document_without_a_folder_names_no_files(folder: Path) -> None:
    document: Any = {"swarm": 1, "id": "a", "description": {"$file": "about.txt"}}
    document |= {"flow": {"kind": "seq", "children": []}, "files": ["tools/one.sh"]}
    assert [problem.split(": ")[1] for problem in problems(document)] == ["file.folder"] * 2


def test_an_include_is_a_folder_of_the_host(folder: Path) -> None:
    shared = folder / "shared"
    write(shared, {"critic.md": CRITIC, "critic.lua": "return 'PASS'", "t.txt": "hi"})
    write(
        folder,
        {
            "flows/b.lua": SCRIPT.replace("agents/critic.md", "shared:critic.md")
            .replace('flow.file "about.txt"', 'flow.file "shared:t.txt"')
            .replace('flow.file "writer.lua"', '"return 1"')
            .replace('  files = { "tools/*" },\n', "")
        },
    )
    found = load("flows/b.lua", shared=shared)
    assert found.document["agents"][0]["source"] == "return 'PASS'"
    assert found.document["description"] == "hi"
    assert {"shared:critic.md", "shared:critic.lua", "shared:t.txt"} <= set(found.files)
    assert "file.include" in problems("flows/b.lua")[0]


def test_the_command_line_has_the_includes_of_the_project(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(
        folder,
        {
            "swarm.toml": "[includes]\nhouse = 'shared'\n",
            "shared/t.txt": "hi",
            "b.yaml": "swarm: 1\nid: b\ndescription: {$file: 'house:t.txt'}\n"
            "flow: {kind: seq, children: []}\n",
        },
    )
    assert invoke(["build", "b.yaml"]) == 0
    assert json.loads(capsys.readouterr().out)["description"] == "hi"
    assert invoke(["run", "b.yaml", "--store", ":memory:"]) == 0


@pytest.mark.parametrize("name", ["a", "A", "two words", "x:y", "", "../up"])
def test_a_host_s_include_has_a_plain_name(name: str) -> None:
    with pytest.raises(Refused) as caught:
        Host.in_memory(includes={name: "."})
    assert caught.value.code == "host.include"


def test_mistakes_in_several_files_are_told_at_once(folder: Path) -> None:
    write(
        folder,
        {
            "agents/critic.md": CRITIC.replace("[PASS", "[PASS, PASS").replace("owner", "modle"),
            "critic.lua": "retrun 1",
            "writer.lua": "x =",
            "a.lua": SCRIPT.replace("tools/*", "tolls/*").replace(
                'out = "ctx.draft"', 'out = "x["'
            ),
        },
    )
    assert [problem.rpartition(" — ")[0] or problem for problem in problems("a.lua")][:3]
    assert sorted(":".join(problem.split(":")[:3]) for problem in problems("a.lua")) == [
        "a.lua:11: malformed",
        "a.lua:8: file.missing",
        "agents/critic.md:3: verdict.words",
        "agents/critic.md:5: agent.front_matter",
        "critic.lua:1: script.syntax",
        "writer.lua:1: script.syntax",
    ]


def test_an_agent_s_file_may_be_named_in_a_plain_flow(folder: Path) -> None:
    write(
        folder,
        {
            "p.lua": """local flow = require "flow"
local critic = flow.agent_md "agents/critic.md"
return flow.blueprint {
  id = "p",
  agents = { critic },
  flow = function(ctx)
    ctx.review = critic("long enough")
    return ctx
  end,
}
"""
        },
    )
    found = load("p.lua")
    assert list(found.agents) == ["critic"]
    assert '"ref": "critic"' in json.dumps(found.document)


def test_an_agent_that_cannot_be_read_is_one_mistake(folder: Path) -> None:
    (folder / "agents" / "critic.md").unlink()
    (problem,) = problems("a.lua")
    assert problem.startswith("a.lua:2: file.missing: agent 'critic': expected a file")


def test_many_references_are_counted(folder: Path) -> None:
    items = [{"op": "array", "items": [{"$file": "about.txt"}]}] * 1_001
    flow = {"kind": "assign", "at": "$.a", "value": {"op": "array", "items": items}}
    write(folder, {"b.json": json.dumps({"swarm": 1, "id": "b", "flow": flow})})
    assert "expected at most 1000 names of files in a blueprint, got more" in problems("b.json")[0]


def test_files_are_bounded_together(folder: Path) -> None:
    write(folder, {f"t{i}.txt": "x" * 250_000 for i in range(9)})
    items = [{"$file": f"t{i}.txt"} for i in range(9)]
    flow = {"kind": "assign", "at": "$.a", "value": {"op": "array", "items": items}}
    write(folder, {"b.json": json.dumps({"swarm": 1, "id": "b", "flow": flow})})
    assert "bytes of files in a blueprint, got more" in problems("b.json")[0]
    write(folder, {"t0.txt": "x" * 300_000})
    assert any(
        "expected at most 262144 bytes, got more in 't0.txt'" in p for p in problems("b.json")
    )


def test_a_document_keeps_its_digest_when_it_is_loaded_again(folder: Path) -> None:
    found = load("a.lua")
    assert digest_of(found.document) == found.digest


# Documents that nobody would write: each is refused in sentences, or is harmless.
ODD_AGENTS: list[Any] = [
    {"$agent_md": 5},
    {"$agent_md": None},
    {"$agent_md": ["odd.md"]},
    {"$agent_md": {"$agent_md": "odd.md"}},
    {"$agent_md": "odd.md", "$file": "odd.md"},
    {"$agent_md": "odd.md", "name": "b"},
    {"$file": "odd.md"},
    {"$agent_md": "odd.md"},
    {"$agent_md": "large.md"},
    {"$agent_md": "nested.md"},
    {"$agent_md": "keys.md"},
    {"$agent_md": "agents"},
    {"$agent_md": "x" * 5_000},
    {"name": "b", "kind": {"$file": "about.txt"}},
    {"name": {"$file": "about.txt"}, "kind": "lua"},
    {"name": "b", "kind": "lua", "source": {"$file": {"$file": "about.txt"}}},
    {"name": "b", "kind": "lua", "source": "return 1", "retry": {"$file": "about.txt"}},
    {"name": "b", "kind": "lua", "source": "return 1", "verdict": [{"$agent_md": "odd.md"}]},
]
ODD_FILES = {
    "odd.md": "---\nname: [1]\nkind: {a: 1}\nverdict: {x: 1}\nlimits: [1]\nschema: 5\n---\n",
    "large.md": "---\nkind: lua\n---\n" + "x" * 1_000_000,
    "nested.md": "---\nkind: lua\nsource: return 1\nextra: {$agent_md: odd.md}\n---\n",
    "keys.md": "---\nkind: lua\nsource: return 1\n$file: about.txt\n---\n",
}


def test_odd_documents_are_refused_in_sentences(folder: Path) -> None:
    write(folder, ODD_FILES)
    refused = 0
    for agent in ODD_AGENTS:
        flow = {"kind": "step", "ref": "a", "in": "null"}
        plain = {"name": "a", "kind": "lua", "source": "return 1"}
        document = {"swarm": 1, "id": "odd", "agents": [plain, agent], "flow": flow}
        write(folder, {"odd.json": json.dumps(document)})
        found = problems("odd.json")
        refused += bool(found)
        assert all("\n" not in one and len(one) < 1_000 for one in found)
        write(folder, {"odd.json": json.dumps({**document, "agents": [plain]})})
        assert load("odd.json").id == "odd"
    print(f"odd documents: {refused} / {len(ODD_AGENTS)} refused")  # noqa: T201
    assert refused == len(ODD_AGENTS)


@pytest.mark.parametrize("allow", [5, [], None, {"$": 5}, {"$": [{}]}, {"$": [[]]}, {"$": [None]}])
def test_odd_permissions_are_refused(folder: Path, allow: Any) -> None:
    document = {"swarm": 1, "id": "a", "flow": {"kind": "seq", "children": []}, "allow": allow}
    assert all("blueprint.allow" in problem for problem in problems(document))


# -- what is gathered, by itself -----------------------------------------------------------


def gather(document: Any, **places: Place) -> Gathered:
    """Gather below the working directory; *places* are lines of the blueprint's agents."""
    registry = Registry([LuaFactory()], plugins=False)
    shelf = Shelf(Path.cwd(), {"shared": Path.cwd() / "common"})
    known = {f"$.agents[{name[1:]}]": place for name, place in places.items()}
    return gathered(document, shelf, registry, known)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_all_that_is_gathered_is_known_by_its_place(folder: Path) -> None:
    write(folder, {"common/critic.md": CRITIC, "common/critic.lua": "return 'PASS'"})
    document: dict[str, Any] = {
        "agents": [
            {"name": "writer", "source": {"$file": "writer.lua"}},
            {"$agent_md": "shared:critic.md"},
        ],
        "description": {"$file": "./about.txt"},
        "flow": {"kind": "assign", "value": {"fields": {"a": {"$file": "about.txt"}}}},
        "files": ["tools/*"],
    }
    before = json.dumps(document)
    here = Place("a.lua", 3)
    found = gather(document, a1=here)
    assert json.dumps(document) == before
    assert found.document is not document
    made = found.document
    assert made["agents"][0] == {"name": "writer", "source": FILES["writer.lua"]}
    assert made["agents"][1]["source"] == "return 'PASS'"
    assert made["description"] == FILES["about.txt"]
    assert made["flow"]["value"]["fields"]["a"] == {"op": "lit", "value": FILES["about.txt"]}
    assert made["files"] == {"tools/one.sh": _digest("echo 1")}
    assert found.found == []
    assert found.told == set()
    assert found.listed == {"$.agents[1]": here}
    assert found.texts == {
        "$.agents[0].source": "writer.lua",
        "$.agents[1].source": "common/critic.lua",
        "$.description": "about.txt",
        "$.flow.value.fields.a": "about.txt",
    }
    assert found.sources == {"common/critic.md": CRITIC}
    assert found.places["$.agents[1]"] == Place("common/critic.md", 1)
    assert found.places["$.agents[1].verdict[0]"] == Place("common/critic.md", 3)
    assert found.places["$.agents[1].instructions"] == Place("common/critic.md", 7)
    assert found.files == {
        "writer.lua": _digest(FILES["writer.lua"]),
        "shared:critic.md": _digest(CRITIC),
        "shared:critic.lua": _digest("return 'PASS'"),
        "./about.txt": _digest(FILES["about.txt"]),
        "about.txt": _digest(FILES["about.txt"]),
        "tools/one.sh": _digest("echo 1"),
    }


@pytest.mark.parametrize(
    "document",
    [
        5,
        None,
        ["files"],
        {"id": "a"},
        {"description": "plain", "agents": [], "flow": {"kind": "seq"}},
        {"inputs": {"$file": "about.txt"}},
        {"flow": {"op": "lit", "value": {"$file": "about.txt"}}},
    ],
)
def test_what_names_nothing_is_handed_on_itself(folder: Path, document: Any) -> None:
    found = gather(document)
    assert found == Gathered(document)
    assert found.document is document


def test_a_literal_hides_its_value_in_a_flow_and_nowhere_else(folder: Path) -> None:
    lit = {"op": "lit", "value": {"$file": "about.txt"}, "note": {"$file": "about.txt"}}
    found = gather({"agents": [{"extra": lit}], "flow": {"value": lit}}).document
    text = FILES["about.txt"]
    assert found["agents"] == [{"extra": {"op": "lit", "value": text, "note": text}}]
    assert found["flow"]["value"] == {**lit, "note": {"op": "lit", "value": text}}


def test_mistakes_are_told_in_the_order_of_the_document(folder: Path) -> None:
    critic = {"$agent_md": "agents/critic.md"}
    found = gather(
        {
            "flow": {"children": [{"$file": "none.txt"}, critic]},
            "description": {"$file": "about.txt", "x": 1},
            "agents": [
                {"$agent_md": "gone.md"},
                {"name": "b", "source": critic},
                {"$agent_md": 5},
                {"$file": "a", "$agent_md": "b"},
            ],
        }
    )
    listed = "expected an agent's file in the list of agents, got 'agents/critic.md' here"
    assert [(p.code, p.at) for p in found.found] == [
        ("file.missing", "$.agents[0]"),
        ("file.reference", "$.agents[1].source"),
        ("file.path", "$.agents[2]"),
        ("file.reference", "$.agents[3]"),
        ("file.reference", "$.description"),
        ("file.missing", "$.flow.children[0]"),
        ("file.reference", "$.flow.children[1]"),
    ]
    assert found.found[1].message == found.found[6].message == listed
    assert found.found[3].message == "expected '$file' alone, got '$agent_md' beside it"
    assert found.found[4].message == "expected '$file' alone, got 'x' beside it"
    # What could not be read is told once: what stands there has no problems of its own.
    made = found.document
    assert made["agents"] == [
        {"name": "gone", "kind": "unknown"},
        {"name": "b", "source": ""},
        {"name": "unknown", "kind": "unknown"},
        "",
    ]
    assert made["description"] == ""
    assert made["flow"]["children"] == [{"op": "lit", "value": ""}] * 2
    assert found.told == {
        "$.agents",
        "$.agents[0]",
        "$.agents[0].kind",
        "$.agents[0].name",
        "$.agents[1].source",
        "$.agents[2]",
        "$.agents[2].kind",
        "$.agents[2].name",
        "$.agents[3]",
        "$.description",
        "$.flow.children[0]",
        "$.flow.children[1]",
    }
    assert found.listed == {"$.agents[0]": None, "$.agents[2]": None}


def test_mistakes_in_an_agents_file_are_on_its_lines(folder: Path) -> None:
    write(
        folder,
        {
            "odd.md": "---\nkind: lua\nmodle: x\n---\n",
            "no.md": "no front matter\n",
            "open.md": "---\nkind: [\n---\n",
            "latin.txt": "",
        },
    )
    (folder / "latin.txt").write_bytes(b"one\ntw\xf6\n")
    agents = [{"$agent_md": name} for name in ("odd.md", "no.md", "open.md")]
    found = gather({"agents": agents, "description": {"$file": "latin.txt"}})
    odd, no, opened, latin = found.found
    assert (odd.code, odd.at) == ("agent.front_matter", "$.agents[0].modle")
    assert odd.hint is not None
    assert odd.hint.startswith("did you mean 'model'?")
    assert found.places["$.agents[0].modle"] == Place("odd.md", 3)
    assert isinstance(no, PlacedFinding)
    assert isinstance(opened, PlacedFinding)
    assert (no.code, no.at, no.where) == ("agent.front_matter", "$.agents[1]", Place("no.md", 1))
    assert no.message == "expected front matter between two lines '---', got none"
    assert no.hint == "begin it with a line ---, and the agent's fields below"
    assert (opened.at, opened.where.file) == ("$.agents[2]", "open.md")
    assert isinstance(latin, PlacedFinding)
    assert (latin.code, latin.where) == ("file.encoding", Place("latin.txt", 2))
    assert found.document["agents"][1] == {"name": "no", "kind": "unknown"}
    assert set(found.sources) == {"odd.md", "no.md", "open.md"}


def test_an_agents_file_names_what_is_below_its_own_include(folder: Path) -> None:
    """Unless it says which include it means; a blueprint's own files are without a name."""
    text = "---\nkind: lua\nsource: { $file: NAME }\n---\n"
    write(
        folder,
        {
            "common/in.md": text.replace("NAME", "t.lua"),
            "common/other.md": text.replace("NAME", "'shared:sub/t.lua'"),
            "out.md": text.replace("NAME", "'shared:t.lua'"),
            "common/t.lua": "common",
            "common/sub/t.lua": "sub",
            "t.lua": "own",
        },
    )
    names = ("shared:in.md", "shared:other.md", "out.md")
    found = gather({"agents": [{"$agent_md": name} for name in names]})
    assert found.found == []
    assert [agent["source"] for agent in found.document["agents"]] == ["common", "sub", "common"]
    assert [agent["name"] for agent in found.document["agents"]] == ["in", "other", "out"]


def test_a_step_may_go_by_the_path_of_its_agents_file(folder: Path) -> None:
    write(
        folder,
        {
            "a.md": "---\nname: ada\nkind: lua\n---\n",
            "b.md": "---\nkind: lua\n---\n",
            "c.md": "---\nname: [1]\nkind: lua\n---\n",
            "sub/a.md": "---\nkind: lua\n---\n",
        },
    )
    names = ("a.md", "b.md", "c.md", "sub/a.md", "gone.md")
    agents: list[Any] = [*({"$agent_md": name} for name in names), {"name": "b.md"}, 5, {}]

    def step(ref: Any) -> dict[str, Any]:
        return {"kind": "step", "ref": ref}

    odd = [
        {"kind": "fail", "ref": "a.md"},
        step(5),
        step("x.md"),
        {"op": "lit", "value": step("a.md")},
    ]
    flow = {"kind": "seq", "children": [*map(step, names), *odd]}
    made = gather({"agents": agents, "flow": flow}).document["flow"]["children"]
    assert [node.get("ref") for node in made[:5]] == ["ada", "b.md", "c", "a", "gone"]
    assert made[5:] == odd
    assert gather({"agents": [{"$agent_md": "a.md"}]}).document.get("flow") is None


def test_the_name_of_a_file_is_cut_where_an_agents_name_would_be(folder: Path) -> None:
    for many in (63, 64):
        name = f"{'n' * many}.md"
        write(folder, {name: "---\nkind: lua\n---\n"})
        assert gather({"agents": [{"$agent_md": name}]}).document["agents"][0]["name"] == "n" * 63


def test_a_thousand_names_and_two_mebibytes_may_be_put_into_a_document(folder: Path) -> None:
    write(folder, {"t.txt": "x"})
    names = [{"$file": "t.txt"}] * 1_000
    assert gather({"agents": [{"tags": names}]}).found == []
    (more,) = gather({"agents": [{"tags": [*names, {"$file": "t.txt"}]}]}).found
    assert (more.code, more.at) == ("file.too_large", "$.agents[0].tags[1000]")
    assert more.message == "expected at most 1000 names of files in a blueprint, got more"
    write(folder, {"large.txt": "x" * 256 * 1024, "larger.txt": "x" * (256 * 1024 + 1)})
    whole = [{"$file": "large.txt"}] * 8
    assert gather({"agents": [{"tags": whole}]}).found == []
    (more,) = gather({"agents": [{"tags": [*whole, {"$file": "t.txt"}]}]}).found
    assert (more.code, more.at) == ("file.too_large", "$.agents[0].tags[8]")
    assert more.message == "expected at most 2097152 bytes of files in a blueprint, got more"
    (more,) = gather({"description": {"$file": "larger.txt"}}).found
    assert more.message == "expected at most 262144 bytes, got more in 'larger.txt'"


def test_files_that_are_no_list_are_left_for_others_to_tell_of(folder: Path) -> None:
    found = gather({"files": 5, "agents": [{"source": {"$file": "writer.lua"}}]})
    assert found.document["files"] == 5
    assert found.found == []
    assert found.files == {"writer.lua": _digest(FILES["writer.lua"])}
