"""A host and the versions of its store: registered, run, pinned, compared."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from swarm.blueprint.canonical import digest_of
from swarm.errors import BlueprintInvalid, Refused, RunFailed
from swarm.host.host import Host

SCRIPT = """
local flow = require "flow"
local words = require "words"
local greeter = flow.lua "greeter" {{ source = "return " .. words.quoted "{said}" }}
return flow.blueprint {{
  id = "hello",
  agents = {{ greeter }},
  flow = function(ctx) ctx.said = greeter(ctx.name) end,
}}
"""
WORDS = """
local words = {}
function words.quoted(text) return string.format("%q", text) end
return words
"""


def written(folder: Path, said: str = "hi") -> str:
    (folder / "words.lua").write_text(WORDS)
    path = folder / "hello.lua"
    path.write_text(SCRIPT.format(said=said))
    return str(path)


async def said(host: Host, what: str, **more: Any) -> Any:
    run = await host.start(what, {}, **more)
    return (await run.result())["said"]


async def test_a_registered_blueprint_runs_by_its_selector(tmp_path: Path) -> None:
    async with Host(tmp_path / "state", scripts="inline") as host:
        first = await host.blueprints.register(written(tmp_path), author="ada")
        assert (first.entry.label, first.is_new) == ("1.0.0", True)
        written(tmp_path, "ho")
        second = await host.blueprints.register(
            str(tmp_path / "hello.lua"), author="ada", bump="minor"
        )
        assert second.entry.label == "1.1.0"
        assert await said(host, "hello") == "ho"
        assert await said(host, "hello@1.0.0") == "hi"


async def test_the_same_twice_is_one_entry(tmp_path: Path) -> None:
    host = Host.in_memory(scripts="inline")
    for is_new in (True, False):
        found = await host.blueprints.register(written(tmp_path), author="ada")
        assert found.is_new is is_new
    # A comment makes another entry of the same version.
    (tmp_path / "words.lua").write_text("-- words\n" + WORDS)
    third = await host.blueprints.register(str(tmp_path / "hello.lua"), author="ada")
    assert third.is_new
    assert third.entry.digest == found.entry.digest


async def test_a_version_gets_a_label_of_its_own_by_an_entry_more(tmp_path: Path) -> None:
    kept = Host.in_memory(scripts="inline").blueprints
    file = written(tmp_path)
    first = await kept.register(file, author="ada")
    again = await kept.register(file, author="ada", label="1.0.0")
    assert (again.is_new, again.entry.commit) == (False, first.entry.commit)
    second = await kept.register(file, author="ada", label="2.0.0")
    assert (second.is_new, second.entry.label) == (True, "2.0.0")
    assert second.entry.digest == first.entry.digest
    with pytest.raises(Refused, match=r"expected one above 2\.0\.0"):
        await kept.register(file, author="ada", label="1.5.0")


async def test_a_moved_tag_counts_for_new_runs_only(tmp_path: Path) -> None:
    host = Host.in_memory(scripts="inline")
    await host.blueprints.register(written(tmp_path), author="ada")
    await host.blueprints.tag("hello@1.0.0", "prod")
    async with host:
        loaded = await host.load("hello@prod")
        await host.blueprints.register(written(tmp_path, "ho"), author="ada")
        await host.blueprints.tag("hello@latest", "prod")
        assert await said(host, "hello@prod") == "ho"
        run = await host.start(loaded, {})
        assert (await run.result())["said"] == "hi"


async def test_a_run_says_which_entry_it_is_of(tmp_path: Path) -> None:
    async with Host(tmp_path / "state", scripts="inline") as host:
        entry = (await host.blueprints.register(written(tmp_path), author="ada")).entry
        run = await host.start("hello", {})
        await run.wait()
        started = await anext(aiter(run.events()))
        assert started["kind"] == "run.started"
        assert started["version"] == {"label": "1.0.0", "commit": entry.commit}
        assert started["digest"] == entry.digest


async def test_a_broken_document_is_refused_or_put_aside(tmp_path: Path) -> None:
    host = Host.in_memory(scripts="inline")
    path = tmp_path / "hello.lua"
    path.write_text('local flow = require "flow"\nreturn flow.blueprint { id = "hello" }\n')
    with pytest.raises(BlueprintInvalid):
        await host.blueprints.register(str(path), author="ada")
    draft = await host.blueprints.put_aside(str(path), author="ada")
    assert draft.problems
    assert await host.blueprints.draft("hello") == draft
    with pytest.raises(Refused, match="expected a blueprint of this store"):
        await host.load("hello")


async def test_a_writer_who_began_from_an_older_entry_is_told(tmp_path: Path) -> None:
    host = Host.in_memory(scripts="inline")
    await host.blueprints.register(written(tmp_path, "a"), author="ada")
    await host.blueprints.register(written(tmp_path, "b"), author="bob")
    with pytest.raises(Refused) as caught:
        await host.blueprints.register(written(tmp_path, "c"), author="eve", expected="1.0.0")
    assert caught.value.code == "version.conflict"
    between = await host.blueprints.since("hello", "1.0.0")
    assert [entry.note.author for entry in between] == ["bob"]
    found = await host.blueprints.register(
        written(tmp_path, "c"), author="eve", expected="1.0.1", label="2.0.0"
    )
    assert found.entry.label == "2.0.0"


async def test_a_rollback_is_a_new_entry_with_old_content(tmp_path: Path) -> None:
    async with Host.in_memory(scripts="inline") as host:
        await host.blueprints.register(written(tmp_path, "a"), author="ada")
        await host.blueprints.register(written(tmp_path, "b"), author="ada")
        back = await host.blueprints.rollback("hello@1.0.0", author="bob")
        assert (back.entry.label, back.entry.back_to) == ("1.0.2", "1.0.0")
        assert await said(host, "hello") == "a"
        assert not (await host.blueprints.rollback("hello@1.0.0", author="bob")).is_new


async def test_a_patched_document_gets_a_source_that_builds_it(tmp_path: Path) -> None:
    async with Host(tmp_path / "state", scripts="inline") as host:
        await host.blueprints.register(written(tmp_path), author="ada")
        ops = [{"op": "replace", "path": "/agents/0/source", "value": "return 'patched'"}]
        found = await host.blueprints.patch("hello", ops, author="bot")
        assert await said(host, "hello") == "patched"
        source = await host.blueprints.export("hello", tmp_path / "out")
        assert source.read_text().startswith("-- Printed from the document")
        again = await host.load(str(source))
        assert again.digest == found.entry.digest


@pytest.mark.parametrize(
    ("ops", "code"),
    [
        ([], "patch.malformed"),
        ([{"op": "replace", "path": "/id", "value": "other"}], "patch.id"),
        ([{"op": "replace", "path": "", "value": {}}], "patch.malformed"),
        ([{"op": "test", "path": "/id", "value": "hello"}], "patch.noop"),
        ([{"op": "remove", "path": "/agents/7"}], "patch.failed"),
        ([{"op": "remove", "path": "/flow"}], "blueprint.invalid"),
    ],
)
async def test_a_patch_that_cannot_be_changes_nothing(
    tmp_path: Path, ops: list[dict[str, Any]], code: str
) -> None:
    host = Host.in_memory(scripts="inline")
    before = (await host.blueprints.register(written(tmp_path), author="ada")).entry
    with pytest.raises((Refused, BlueprintInvalid)) as caught:
        await host.blueprints.patch("hello", ops, author="bot")
    assert caught.value.code == code
    assert await host.blueprints.find("hello") == before


async def test_a_module_outside_of_the_folder_is_refused(tmp_path: Path) -> None:
    host = Host.in_memory(scripts="inline")
    folder = tmp_path / "within"
    folder.mkdir()
    path = written(folder)
    (tmp_path / "words.lua").write_text(WORDS)
    (folder / "words.lua").unlink()
    (folder / "words.lua").symlink_to(tmp_path / "words.lua")
    with pytest.raises((Refused, BlueprintInvalid)):
        await host.blueprints.register(path, author="ada")


async def test_a_run_goes_on_though_the_files_of_its_version_are_gone(tmp_path: Path) -> None:
    state = tmp_path / "state"
    path = tmp_path / "asks.lua"
    path.write_text(
        'local flow = require "flow"\n'
        'local ask = flow.ask "ok" { schema = { type = "boolean" } }\n'
        "return flow.blueprint { id = 'asks', agents = { ask },\n"
        "  flow = function(ctx) ctx.ok = ask('go on?') end }\n"
    )
    async with Host(state, scripts="inline") as host:
        await host.blueprints.register(str(path), author="ada")
        run = await host.start("asks", {}, run_id="one")
        async for event in run.events():
            if event["kind"] == "run.waiting":
                break
    path.unlink()
    shutil.rmtree(state / "versions")
    async with Host(state, scripts="inline") as host:
        run = await host.resume("one")
        (question,) = await run.questions()
        await run.answer(question.id, True)
        assert (await run.result())["ok"] is True
        assert len(list((state / "versions").iterdir())) == 1


async def test_another_blueprint_is_named_by_its_version(tmp_path: Path) -> None:
    outer = tmp_path / "outer.lua"
    outer.write_text(
        'local flow = require "flow"\n'
        'local inner = flow.sub "inner" { blueprint = "hello@^1.0" }\n'
        "return flow.blueprint { id = 'outer', agents = { inner },\n"
        "  flow = function(ctx) ctx.said = inner({}).said end }\n"
    )
    async with Host(tmp_path / "state", scripts="inline") as host:
        with pytest.raises(BlueprintInvalid, match="hello"):
            await host.load(str(outer))
        await host.blueprints.register(written(tmp_path), author="ada")
        run = await host.start(await host.load(str(outer)), {})
        assert (await run.result())["said"] == "hi"


def louder(path: Path) -> str:
    text = path.read_text().replace(
        "ctx.said = greeter(ctx.name)", "ctx.said = greeter(ctx.name); ctx.loud = up(ctx.said)"
    )
    up = 'local up = flow.process "up" { argv = { "tr", "a-z", "A-Z" } }\n'
    text = text.replace("agents = { greeter }", "agents = { greeter, up }")
    path.write_text(text.replace("return flow.blueprint", f"{up}return flow.blueprint"))
    return str(path)


async def test_a_difference_has_three_views(tmp_path: Path) -> None:
    host = Host.in_memory(scripts="inline")
    await host.blueprints.register(written(tmp_path, "a"), author="ada")
    await host.blueprints.register(louder(Path(written(tmp_path, "a"))), author="ada")
    found = await host.blueprints.diff("hello@1.0.0", "hello")
    assert '+local up = flow.process "up"' in found.source
    assert {op["op"] for op in found.document} == {"add"}
    assert found.flow.added
    assert found.flow.removed == ()
    assert found.flow.agents == ("up: new, of kind process",)
    assert 'process \'up\': argv ["tr","a-z","A-Z"]' in found.flow.gained
    same = await host.blueprints.diff("hello", "hello@latest")
    assert (same.source, same.document) == ("", ())


async def test_what_is_laid_out_is_read_only_and_mended(tmp_path: Path) -> None:
    host = Host(tmp_path / "state", scripts="inline")
    await host.blueprints.register(written(tmp_path), author="ada")
    loaded = await host.load("hello")
    assert loaded.folder is not None
    file = loaded.folder / "words.lua"
    assert file.stat().st_mode & 0o777 == 0o444
    file.chmod(0o644)
    file.write_text("-- changed\n")
    await host.load("hello")
    assert file.read_text() == WORDS


CHECKED = """
local flow = require "flow"
local check = flow.process "check" {
  argv = { "python3", "tools/check.py" }, input = "json", output = "json" }
local echo = flow.process "echo" { argv = { "tools/echo.sh" }, input = "json", output = "json" }
return flow.blueprint { id = "checked", agents = { check, echo }, files = { "tools/*" },
  flow = function(ctx) ctx.said = check(1); ctx.echoed = echo(2) end }
"""
CHECK = "import sys; sys.dont_write_bytecode = True\nimport word; print(repr(word.WORD)[1:-1])\n"


def checked(folder: Path) -> str:
    """Write a blueprint whose processes need files, one of them a program."""
    (folder / "tools").mkdir(parents=True)
    (folder / "checked.lua").write_text(CHECKED)
    (folder / "tools/check.py").write_text(CHECK)
    (folder / "tools/word.py").write_text("WORD = '\"good\"'\n")
    (folder / "tools/echo.sh").write_text("#!/bin/sh\ncat\n")
    (folder / "tools/echo.sh").chmod(0o755)
    return str(folder / "checked.lua")


def harm(folder: Path, how: str) -> None:
    tools = folder / "tools"
    match how:
        case "changed":
            (tools / "word.py").chmod(0o644)
            (tools / "word.py").write_text("WORD = '\"evil\"'\n")
        case "shadowed":
            (tools / "word").mkdir()
            (tools / "word/__init__.py").write_text("WORD = '\"evil\"'\n")
        case "no program":
            (tools / "echo.sh").chmod(0o444)
        case "linked":
            (tools / "word.py").unlink()
            (tools / "word.py").symlink_to(folder / "evil.py")
        case "gone":
            shutil.rmtree(tools)
        case "a file":
            shutil.rmtree(folder)
            folder.write_text("")
        case _:
            pass


HARMS = ("changed", "shadowed", "no program", "linked", "gone", "a file", "nothing")


async def test_the_files_of_processes_are_those_of_the_version(tmp_path: Path) -> None:
    source = checked(tmp_path / "written")
    async with Host(tmp_path / "state", scripts="inline") as host:
        await host.blueprints.register(source, author="ada")
        shutil.rmtree(tmp_path / "written")
        folder = (await host.load("checked")).folder
        assert folder is not None
        for how in HARMS:
            harm(folder, how)
            run = await host.start("checked", {})
            ctx = await run.result()
            assert (how, ctx["said"], ctx["echoed"]) == (how, "good", 2)


async def test_mending_keeps_the_folder_that_a_process_works_in(tmp_path: Path) -> None:
    host = Host(tmp_path / "state", scripts="inline")
    await host.blueprints.register(checked(tmp_path / "written"), author="ada")
    folder = (await host.load("checked")).folder
    assert folder is not None
    before = folder.stat().st_ino
    harm(folder, "changed")
    await host.load("checked")
    assert (folder / "tools/word.py").read_text() == "WORD = '\"good\"'\n"
    assert folder.stat().st_ino == before
    assert [one.name for one in folder.parent.iterdir()] == [folder.name]


async def test_programs_stay_programs_when_they_go_out_and_in(tmp_path: Path) -> None:
    host = Host(tmp_path / "state", scripts="inline")
    first = await host.blueprints.register(checked(tmp_path / "written"), author="ada")
    out = await host.blueprints.export("checked", tmp_path / "out")
    assert (tmp_path / "out/tools/echo.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "out/tools/check.py").stat().st_mode & 0o777 == 0o644
    again = await host.blueprints.register(str(out), author="bob")
    assert (again.is_new, again.entry) == (False, first.entry)
    (tmp_path / "out/tools/check.py").chmod(0o755)
    third = await host.blueprints.register(str(out), author="bob")
    assert (third.is_new, third.entry.digest) == (True, first.entry.digest)


async def test_a_document_can_be_registered_without_a_file() -> None:
    host = Host.in_memory(scripts="inline")
    document = {
        "swarm": 1,
        "id": "n",
        "flow": {"kind": "assign", "at": "$.n", "value": {"op": "lit", "value": 1}},
    }
    found = await host.blueprints.register(document, author="ada")
    async with host:
        run = await host.start("n", {})
        assert await run.result() == {"n": 1}
    contents = await host.blueprints.read("n")
    assert contents.generated
    assert digest_of(contents.document) == found.entry.digest
    assert json.dumps(contents.document)


async def test_a_run_that_fails_speaks_of_the_authors_line(tmp_path: Path) -> None:
    path = tmp_path / "bad.lua"
    path.write_text(
        'local flow = require "flow"\n'
        'local bad = flow.lua "bad" [[ error("no") ]]\n'
        "return flow.blueprint { id = 'bad', agents = { bad },\n"
        "  flow = function(ctx)\n    ctx.x = bad(1)\n  end }\n"
    )
    host = Host.in_memory(scripts="inline")
    await host.blueprints.register(str(path), author="ada")
    async with host:
        loaded = await host.load("bad@1.0.0")
        run = await host.start(loaded, {})
        with pytest.raises(RunFailed) as caught:
            await run.result()
        assert str(loaded.place_of(caught.value.error["at"])) == "bad@1.0.0/blueprint.lua:5"


def whole(folder: Path) -> str:
    """Write a blueprint that names everything a blueprint can name."""
    for name, text in {
        "agents/critic.md": "---\nkind: lua\nsource: return input .. '?'\n---\nBe strict.\n",
        "prompts/tone.txt": "kindly",
        "parts/inner.lua": SCRIPT.format(said="inner").replace('id = "hello"', 'id = "inner"'),
        "parts/words.lua": WORDS,
        "tools/up.py": "import sys\nprint(sys.stdin.read().upper(), end='')\n",
    }.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    path = folder / "whole.lua"
    path.write_text(
        'local flow = require "flow"\n'
        'local inner = flow.sub "inner" { blueprint = "parts/inner.lua" }\n'
        'local up = flow.process "up" { argv = { "python3", "tools/up.py" } }\n'
        "return flow.blueprint {\n"
        '  id = "whole", description = flow.file "prompts/tone.txt", files = { "tools/*.py" },\n'
        '  agents = { inner, up, flow.agent_md "agents/critic.md" },\n'
        "  flow = flow.seq {\n"
        '    flow.step { agent = "inner", input = "{}", out = "ctx.inner" },\n'
        '    flow.step { agent = "critic", input = "ctx.inner.said", out = "ctx.asked" },\n'
        '    flow.step { agent = "up", input = "ctx.asked", out = "ctx.loud" },\n'
        "  },\n"
        "}\n"
    )
    return str(path)


async def test_all_that_a_blueprint_names_is_in_its_version(tmp_path: Path) -> None:
    folder = tmp_path / "author"
    folder.mkdir()
    async with Host(tmp_path / "state", scripts="inline") as host:
        await host.blueprints.register(whole(folder), author="ada")
        shutil.rmtree(folder)
        contents = await host.blueprints.read("whole")
        assert sorted(contents.files) == [
            "agents/critic.md",
            "blueprint.lua",
            "parts/inner.lua",
            "parts/words.lua",
            "prompts/tone.txt",
            "tools/up.py",
        ]
        assert contents.document["description"] == "kindly"
        run = await host.start("whole", {})
        assert (await run.result())["loud"] == "INNER?"
        source = await host.blueprints.export("whole", tmp_path / "out")
        again = await host.load(str(source))
        assert again.digest == (await host.load("whole")).digest
