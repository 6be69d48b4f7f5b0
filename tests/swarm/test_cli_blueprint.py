"""`swarm blueprint`: from the file to the store and back, as somebody would type it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

from swarm.cli.main import invoke
from swarm.ports.versions import Entry
from swarm.stores.git import GitVersions

SCRIPT = """local flow = require "flow"
local greeter = flow.lua "greeter" [[ return "{said}, " .. input ]]
return flow.blueprint {{
  id = "hello",
  agents = {{ greeter }},
  flow = function(ctx) ctx.said = greeter(ctx.name or "you") end,
}}
"""


class Shell:
    """A folder to work in, and what a command printed."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys

    def write(self, said: str) -> None:
        (self.folder / "hello.lua").write_text(SCRIPT.format(said=said))

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = invoke(words)
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: str) -> Any:
        code, out, err = self(*words, "--json")
        assert code == 0, err
        return json.loads(out)


def git(*words: str) -> subprocess.CompletedProcess[str]:
    command = ["git", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 - git


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWARM_AUTHOR", "ada")
    made = Shell(tmp_path, capsys)
    made.write("Hi")
    return made


def test_a_history_fits_a_terminal_of_80_columns(shell: Shell) -> None:
    reason = "the greeting is that of the house; " * 5
    shell("blueprint", "register", "hello.lua", "-m", reason)
    shell.write("Ho")
    shell("blueprint", "register", "hello.lua", "-m", "one\ntwo")
    _, out, _ = shell("blueprint", "log", "hello")
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    below = [number for number, line in enumerate(lines) if line.startswith("    ")]
    assert below == [2, 3, 4], "what begins in the first column is an entry"
    assert lines[0].endswith("ada  one two")
    assert " ".join(line.strip() for line in lines[2:]) == reason.strip()


def test_a_blueprint_is_registered_run_and_changed(shell: Shell) -> None:
    assert shell("blueprint", "register", "hello.lua", "-m", "first", "--tag", "prod")[:2] == (
        0,
        "hello@1.0.0\n",
    )
    shell.write("Ho")
    assert shell("blueprint", "register", "hello.lua", "--bump", "minor")[1] == "hello@1.1.0\n"
    assert shell.json("run", "hello@prod", "--set", "name=Ada")["ctx"]["said"] == "Hi, Ada"
    assert shell.json("run", "hello")["ctx"]["said"] == "Ho, you"
    code, out, _ = shell("blueprint", "log", "hello")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["hello@1.1.0", "hello@1.0.0"]
    assert "ada" in out
    assert "first" in out


def test_the_same_again_is_said_to_be_the_same(shell: Shell) -> None:
    assert shell.json("blueprint", "register", "hello.lua")["is_new"] is True
    again = shell.json("blueprint", "register", "hello.lua")
    assert (again["is_new"], again["label"]) == (False, "1.0.0")


def test_a_conflict_shows_what_came_between(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua")
    shell.write("Ho")
    shell("blueprint", "register", "hello.lua", "--author", "bob", "-m", "ho is better")
    shell.write("Hey")
    code, out, err = shell("blueprint", "register", "hello.lua", "--expect", "1.0.0")
    assert (code, out) == (2, "")
    assert "version.conflict" in err
    assert "ho is better" in err
    assert '+local greeter = flow.lua "greeter" [[ return "Ho, "' in err


def test_a_conflict_with_whoever_came_at_once_shows_what_came_between(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    shell("blueprint", "register", "hello.lua")
    shell.write("Ho")
    look = GitVersions.head
    came: list[int] = []

    async def head(self: GitVersions, blueprint: str) -> Entry | None:
        found = await look(self, blueprint)
        if not came:
            came.append(1)
            words = ("blueprint", "register", "hello.lua", "--author", "bob", "-m", "first come")
            came.append(await to_thread.run_sync(invoke, words))
        return found

    monkeypatch.setattr(GitVersions, "head", head)
    (shell.folder / "hello.lua").rename(shell.folder / "mine.lua")
    shell.write("Hey")
    code, _, err = shell("blueprint", "register", "mine.lua")
    assert (code, came) == (2, [1, 0])
    assert "version.conflict" in err
    assert "bob  first come" in err
    assert '+local greeter = flow.lua "greeter" [[ return "Hey, "' in err


def test_tags_are_listed_moved_and_removed(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua", "--tag", "prod")
    shell("blueprint", "tag", "hello@1.0.0", "canary")
    assert [line.split()[0] for line in shell("blueprint", "tag", "hello")[1].splitlines()] == [
        "canary",
        "prod",
    ]
    assert shell("blueprint", "tag", "hello", "canary", "--delete")[0] == 0
    assert shell("blueprint", "tag", "hello", "canary", "--delete")[0] == 2
    assert shell("blueprint", "tag", "hello@1.0.0", "latest")[0] == 2


def test_a_rollback_brings_the_old_words_back(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua")
    shell.write("Ho")
    shell("blueprint", "register", "hello.lua")
    assert shell.json("blueprint", "rollback", "hello@1.0.0")["back_to"] == "1.0.0"
    assert '"Hi, "' in shell("blueprint", "show", "hello")[1]
    assert "(back to 1.0.0)" in shell("blueprint", "log", "hello")[1]


def test_a_difference_shows_the_views_that_are_asked_for(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua")
    shell.write("Ho")
    shell("blueprint", "register", "hello.lua")
    whole = shell("blueprint", "diff", "hello@1.0.0")[1]
    assert '"path": "/agents/0/source"' in whole
    assert "agent: greeter: source:" in whole
    flow = shell("blueprint", "diff", "hello@1.0.0", "hello", "--view", "flow")[1]
    assert flow.startswith("agent: greeter")
    told = shell.json("blueprint", "diff", "hello@1.0.0")
    assert told["flow"]["gained"] == []


def test_a_patch_is_applied_and_its_source_printed(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua")
    ops = [{"op": "add", "path": "/description", "value": "greets"}]
    assert shell("blueprint", "patch", "hello", json.dumps(ops))[1] == "hello@1.0.1\n"
    assert 'description = "greets"' in shell("blueprint", "show", "hello")[1]
    code, _, err = shell("blueprint", "patch", "hello", '[{"op": "remove", "path": "/nope"}]')
    assert code == 2
    assert "patch.failed: patch[0]: remove '/nope'" in err


def test_what_is_exported_is_imported_again(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua")
    first = shell.json("blueprint", "show", "hello")
    assert shell("blueprint", "export", "hello", "out")[:2] == (0, "out/blueprint.lua\n")
    assert shell("blueprint", "export", "hello", "out")[0] == 2
    told = shell.json("blueprint", "import", "out", "--store", "other")
    assert told["digest"] == first["digest"]
    assert shell("blueprint", "import", ".")[0] == 2
    missing = shell("blueprint", "import", "nowhere")
    assert missing == (2, "", "nowhere: expected a folder that `export` wrote, found none\n")


def test_a_link_in_the_place_of_what_is_imported_is_refused(shell: Shell) -> None:
    (shell.folder / "in").mkdir()
    source = shell.folder / "in/blueprint.lua"
    source.symlink_to("../hello.lua")
    code, _, err = shell("blueprint", "import", "in")
    assert (code, err) == (2, "in/blueprint.lua: expected a file of the folder, got a link\n")
    source.unlink()
    (shell.folder / "hello.lua").rename(source)
    assert shell("blueprint", "import", "in")[0] == 0


def test_a_draft_keeps_what_does_not_compile(shell: Shell) -> None:
    (shell.folder / "hello.lua").write_text("return nothing(")
    assert shell("blueprint", "register", "hello.lua")[0] == 2
    assert shell("blueprint", "register", "hello.lua", "--draft")[0] == 0
    code, out, err = shell("blueprint", "show", "hello", "--draft")
    assert (code, out) == (0, "return nothing(\n")
    assert "script.syntax" in err
    assert shell("run", "hello")[0] == 2


def test_a_draft_has_no_label_no_tag_and_no_selector(shell: Shell) -> None:
    for more in (["--label", "1.0.0"], ["--tag", "prod"], ["--expect", "1.0.0"]):
        code, _, err = shell("blueprint", "register", "hello.lua", "--draft", *more)
        assert code == 2
        assert more[0] in err
    assert shell("blueprint", "show", "hello", "--draft")[0] == 2, "nothing was put aside"
    told = shell.json("blueprint", "register", "hello.lua", "--draft")
    assert told == {"draft": "hello", "problems": []}
    assert shell.json("blueprint", "show", "hello", "--draft")["files"] == ["hello.lua"]
    assert shell("blueprint", "show", "hello@1.0.0", "--draft")[0] == 2


def test_a_tag_that_cannot_be_is_refused_before_anything_is_registered(shell: Shell) -> None:
    words = ("blueprint", "register", "hello.lua", "--tag", "prod", "--tag", "1.0.0")
    assert shell(*words)[0] == 2
    assert shell("blueprint", "list") == (0, "", "")


def test_what_somebody_pushed_and_is_no_entry_is_put_aside(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua")
    store = str(shell.folder / ".swarm/blueprints.git")
    git("clone", "--quiet", store, "clone")
    (shell.folder / "clone/blueprint.lua").write_text("-- mine\n")
    mine = ("-C", "clone", "-c", "user.name=eve", "-c", "user.email=eve@localhost")
    git(*mine, "commit", "--quiet", "-am", "mine")
    git("-C", "clone", "push", "--quiet", "origin", "HEAD:refs/blueprints/hello")
    git("-C", "clone", "push", "--quiet", "origin", "HEAD:refs/blueprints/Other/one")
    code, _, err = shell("run", "hello")
    assert code == 1
    assert "version.damaged" in err
    code, out, _ = shell("blueprint", "verify", "--repair")
    assert code == 1, "somebody should look at it"
    assert out.count("put aside as refs/aside/") == 2
    assert shell("blueprint", "verify") == (0, "", "")
    assert shell("run", "hello")[0] == 0
    shell.write("Ho")
    assert shell.json("blueprint", "register", "hello.lua")["number"] == 2
    assert git("-C", store, "fsck", "--strict", "--full").stderr == ""


def test_plain_git_reads_the_store(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua", "-m", "the first of all")
    git("clone", "--quiet", ".swarm/blueprints.git", "clone")
    assert (shell.folder / "clone/blueprint.lua").read_text() == SCRIPT.format(said="Hi")
    log = git("-C", ".swarm/blueprints.git", "log", "refs/blueprints/hello").stdout
    assert "hello 1.0.0" in log
    assert "the first of all" in log
    assert git("-C", ".swarm/blueprints.git", "fsck", "--strict", "--full").stderr == ""


def test_damage_is_found_and_mended(shell: Shell) -> None:
    shell("blueprint", "register", "hello.lua")
    assert shell("blueprint", "verify")[:2] == (0, "")
    ref = shell.folder / ".swarm/blueprints.git/refs/blueprints/hello"
    ref.write_text("garbage")
    code, out, _ = shell("blueprint", "verify")
    assert (code, out) == (1, "hello: its ref names no commit\n")
    assert shell("run", "hello")[0] == 1
    assert shell("blueprint", "verify", "--repair")[0] == 0
    assert shell("run", "hello")[0] == 0


@pytest.mark.parametrize(
    "words",
    [
        ("blueprint", "log", "nope"),
        ("blueprint", "show", "../x"),
        ("blueprint", "show", "hello@wat?"),
        ("blueprint", "register", "missing.lua"),
        ("blueprint", "rollback", "nope@1.0.0"),
        ("blueprint", "list", "--store", ":memory:"),
        ("blueprint", "patch", "nope", "{"),
        ("run", "nope"),
        ("check", "nope@1.0"),
    ],
)
def test_wrong_use_is_one_sentence_and_exit_2(shell: Shell, words: tuple[str, ...]) -> None:
    code, out, err = shell(*words)
    assert (code, out) == (2, "")
    assert len(err.strip().splitlines()) == 1


def test_nothing_to_list_is_no_error(shell: Shell) -> None:
    assert shell("blueprint", "list") == (0, "", "")
    (shell.folder / ".swarm").mkdir(exist_ok=True)
    assert shell("blueprint", "verify")[0] == 0
    assert shell("blueprint", "gc", "--dry-run")[0] == 0
    would = shell.json("blueprint", "gc", "--dry-run")
    assert (would["dry_run"], type(would["freed_bytes"])) == (True, int)


_LOOKS = (
    ("verify",), ("verify", "--repair"), ("gc",), ("list",), ("log", "x"), ("show", "x"),
    ("show", "x", "--draft"), ("show", "x", "--document"), ("diff", "x"), ("export", "x", "out"),
)  # fmt: skip


@pytest.mark.parametrize("words", _LOOKS, ids=" ".join)
@pytest.mark.parametrize("folder", ["typo", "a/file"])
def test_of_a_store_that_is_not_there_nothing_is_said_to_be_well(
    shell: Shell, words: tuple[str, ...], folder: str
) -> None:
    (shell.folder / "a").mkdir()
    (shell.folder / "a/file").touch()
    code, out, err = shell("blueprint", *words, "--store", folder)
    assert (code, out) == (2, "")
    said = f"{folder}: expected the folder of a store, found none — --store DIR"
    assert err == f"store.missing: {said}\n"
    assert not (shell.folder / "out").exists()
    assert not (shell.folder / "typo").exists()


@pytest.mark.parametrize("more", [(), ("--draft",)])
def test_a_file_that_is_not_there_is_a_problem_and_makes_no_store(
    shell: Shell, more: tuple[str, ...]
) -> None:
    code, out, err = shell("blueprint", "register", "helo.lua", *more)
    assert (code, out) == (2, "")
    said = "helo.lua:1: file.missing: expected a file, got nothing of that name"
    assert err == f"{said} — did you mean 'hello.lua'?\n"
    assert not (shell.folder / ".swarm").exists()
