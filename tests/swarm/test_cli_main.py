from __future__ import annotations

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import click
import pytest

from swarm.cli.main import COMMANDS, invoke

ROOT = Path(__file__).parents[2]


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["--help"]) == 0
    shown = capsys.readouterr().out
    for name, sentence in COMMANDS.items():
        assert name in shown
        assert sentence.split()[0] in shown


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from swarm.cli.main import invoke; invoke(['--help'])\n"
        "heavy = {'anyio', 'flowir', 'lark', 'lupa', 'pydantic', 'rich'}\n"
        "print(*sorted(heavy & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(  # noqa: S603  our own interpreter and script
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stderr.strip() == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_helps(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke([name, "--help"]) == 0
    assert f"swarm {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["rnu"], ["run"], ["graph", "a.lua", "--format", "png"], ["run", "a.lua", "--no"]]
)
def test_wrong_use_exits_2_and_says_so_on_stderr(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(arguments) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "Error: " in shown.err


def test_an_interrupt_exits_130(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise click.Abort

    monkeypatch.setattr("swarm.cli.main._swarm.main", interrupted)
    assert invoke(["run"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


@pytest.mark.parametrize(
    ("words", "hint"),
    [(["rnu"], "'run'"), (["blueprin", "list"], "'blueprint'"), (["runs", "lst"], "'list'")],
)
def test_a_command_that_is_nearly_one_is_suggested(
    words: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(words) == 2
    assert f"Did you mean {hint}?" in capsys.readouterr().err


def test_the_package_is_the_command_too() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "swarm", "rnu"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: swarm [OPTIONS] COMMAND")


@pytest.mark.parametrize("module", ["swarm.cli.main", "click", "swarm.cli.runs"])
def test_ctrl_c_while_it_imports_is_one_word(module: str, tmp_path: Path) -> None:
    script = (
        "import os, signal, sys, swarm.__main__\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}:\n"
        "            os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Finder())\n"
        "sys.argv = ['swarm', 'runs', 'list']\n"
        "swarm.__main__.main()\n"
    )
    done = subprocess.run(  # noqa: S603  our own interpreter and script
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "\ninterrupted\n")


@pytest.mark.parametrize("group", ["runs", "blueprint", "enhance", "audit", "token", "operator"])
def test_a_group_tells_the_whole_sentence_of_each_verb(
    group: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke([group, "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.partition("Commands:")[2].split())
    assert "..." not in shown
    for verb in import_module(f"swarm.cli.{group}").command.commands.values():
        assert " ".join(verb.help.split("\n\n")[0].split()).partition(". ")[0].rstrip(".") in shown


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("runs show nope", "swarm runs list"),
        ("runs pause nope", "swarm runs list"),
        ("blueprint log nope", "swarm blueprint list"),
        ("run nope", "swarm blueprint list"),
    ],
)
def test_who_names_what_is_not_there_is_told_where_to_look(
    words: str,
    hint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    document = '{"swarm": 1, "id": "one", "agents": [], "flow": {"kind": "seq", "children": []}}'
    (tmp_path / "one.json").write_text(document)
    assert invoke(["run", "one.json"]) == 0
    capsys.readouterr()
    assert invoke(words.split()) == 2
    assert capsys.readouterr().err.endswith(f" — {hint}\n")
