from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from swarm.cli.exits import WrongUse
from swarm.cli.main import invoke
from swarm.cli.project import Project, find_project, import_functions
from swarm.host.host import Host


@pytest.fixture(autouse=True)
def _restored_imports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tools.py").write_text("def shout(text):\n    return text.upper()\n\nWORD = 'x'\n")
    return tmp_path


def test_without_a_file_a_project_has_no_functions(folder: Path) -> None:
    assert import_functions(find_project(None)) == {}


def test_the_working_directory_comes_before_the_blueprints_folder(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    (inner / "swarm.toml").write_text('[functions]\na = "x:a"')
    assert find_project(inner / "b.lua") == Project(inner, {"a": "x:a"})
    (folder / "swarm.toml").write_text('[functions]\nb = "x:b"')
    assert find_project(inner / "b.lua") == Project(folder, {"b": "x:b"})


@pytest.mark.parametrize("target", ["tools.py:shout", "tools:shout"])
def test_a_function_is_named_by_file_or_by_module(folder: Path, target: str) -> None:
    found = import_functions(Project(folder, {"shout": target}))
    assert found["shout"]("a") == "A"


def test_an_option_names_a_function_too_and_wins(folder: Path) -> None:
    project = Project(folder, {"shout": "tools:shout"})
    assert import_functions(project, ["shout=builtins:len"])["shout"]("abc") == 3


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("tools", "expected 'module:function'"),
        ("tools:", "expected 'module:function'"),
        ("tools:whisper", "has no function 'whisper'"),
        ("tools:WORD", "has no function 'WORD'"),
        ("nowhere:f", "cannot import 'nowhere': ModuleNotFoundError"),
        ("nowhere.py:f", "cannot import 'nowhere.py': FileNotFoundError"),
    ],
)
def test_a_function_that_cannot_be_had_is_refused(folder: Path, target: str, words: str) -> None:
    with pytest.raises(WrongUse) as caught:
        import_functions(Project(folder, {"f": target}))
    assert "swarm.toml: functions.f: " in caught.value.format_message()
    assert words in caught.value.format_message()


def test_an_option_without_a_name_is_refused() -> None:
    with pytest.raises(WrongUse, match="--function: expected NAME=MODULE:FUNCTION"):
        import_functions(Project(Path()), ["tools:shout"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("functions = 3", "functions: input should be a valid dictionary, got 3"),
        ("stor = 'x'", "stor: expected a key that there is — did you mean 'store'?"),
        ("store = ''", "store: expected a folder's name, got ''"),
        ("[processes]\nparalell = 1", "processes.paralell: expected a key that there is — did"),
        (
            "[retention]\nkep = 1",
            "retention.kep: expected a key that there is — did you mean 'keep'?",
        ),
        ("colour = 1", "colour: expected a key that there is — known are 'enhance', 'functions', "),
        ("[functions]\nf = 3", "functions.f: "),
        ("[function]\nf = 'a:b'", "function: "),
        ("[functions", "expected TOML"),
        ("[processes]\nparalel = 1", "processes.paralel: "),
        ("[processes]\nparallel = 0", "processes.parallel: "),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_refused(
    folder: Path, text: str, words: str
) -> None:
    (folder / "swarm.toml").write_text(text)
    with pytest.raises(WrongUse) as caught:
        find_project(None)
    assert words in caught.value.format_message()
    assert "swarm.toml" in caught.value.format_message()


def test_a_file_that_is_no_text_is_refused_at_its_byte(folder: Path) -> None:
    (folder / "swarm.toml").write_bytes(b"store = '\xff'")
    with pytest.raises(WrongUse, match="expected UTF-8 text, got the byte 0xff at 9"):
        find_project(None)


def test_what_a_secret_is_never_stands_in_a_refusal(folder: Path) -> None:
    (folder / "swarm.toml").write_text("[secrets]\na = 1234567")
    with pytest.raises(WrongUse, match=r"secrets\.a: input should be a valid string$"):
        find_project(None)


def test_what_a_project_says_of_programs_reaches_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PROVIDER_KEY", "open-sesame")
    monkeypatch.setenv("MODE", "fast")
    (folder / "key").write_text("from a file\n")
    (folder / "swarm.toml").write_text(
        "[secrets]\na = 'env:PROVIDER_KEY'\nb = 'file:key'\nc = 'env:NOT_THERE'\n"
        "[processes]\npass_env = ['MODE']\n[processes.limits]\nopen_files = 50\n"
    )
    script = "cat <&$0 | wc -c; echo $MODE; ulimit -n"
    agent = {"name": "tool", "kind": "process", "argv": ["sh", "-c", script, "{secrets_fd}"]}
    flow = {"kind": "step", "ref": "tool", "in": "null", "out": "ctx.said"}
    document = {"swarm": 1, "id": "x", "agents": [{**agent, "secrets": ["a", "b"]}], "flow": flow}
    (folder / "x.json").write_text(json.dumps(document))
    assert invoke(["run", str(folder / "x.json"), "--store", ":memory:"]) == 0
    expected = len('{"a": "open-sesame", "b": "from a file"}\n')
    assert json.loads(capsys.readouterr().out)["said"].split() == [str(expected), "fast", "50"]
    document["agents"] = [{**agent, "secrets": ["c"]}]
    (folder / "x.json").write_text(json.dumps(document))
    assert invoke(["run", str(folder / "x.json"), "--store", ":memory:"]) == 2
    assert "expected a secret that the host registered, got 'c'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[secrets]\na = 'plain'", "secrets.a: expected 'env:NAME' or 'file:path'"),
        ("[secrets]\na = 'env:SHORT'", "secrets.a: "),
        ("[processes.limits]\nmemory = 1", "processes.limits: no limit 'memory'"),
    ],
)
def test_a_secret_or_limit_that_is_none_is_refused(
    folder: Path, text: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHORT", "short")
    (folder / "swarm.toml").write_text(text)
    with pytest.raises(WrongUse) as caught:
        find_project(None).equip(Host.in_memory())
    assert words in caught.value.format_message()
