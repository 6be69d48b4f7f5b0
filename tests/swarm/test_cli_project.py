from __future__ import annotations

import sys
from pathlib import Path

import pytest

from swarm.cli.exits import WrongUse
from swarm.cli.project import Project, find_project, import_functions


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
        ("functions = 3", "functions: "),
        ("[functions]\nf = 3", "functions.f: "),
        ("[function]\nf = 'a:b'", "function: "),
        ("[functions", "expected TOML"),
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
