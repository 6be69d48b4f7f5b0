from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from swarm.cli.exits import WrongUse
from swarm.cli.inputs import first_context


def test_without_input_the_context_is_an_empty_object() -> None:
    assert first_context(None, ()) == {}


def test_input_is_json() -> None:
    assert first_context('{"n": [1, null]}', ()) == {"n": [1, None]}


def test_input_may_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_text('{"a": "ä"}', encoding="utf-8")
    assert first_context(f"@{tmp_path}/in.json", ()) == {"a": "ä"}


def test_a_file_without_its_sign_is_told_how_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("in.json").write_text("{}")
    with pytest.raises(
        WrongUse, match=r"got 'in\.json' .* \u2014 for the file, write '@in\.json'$"
    ):
        first_context("in.json", ())
    for text in ("out.json", "x" * 5000, "\0"):
        with pytest.raises(WrongUse) as wrong:
            first_context(text, ())
        assert "@" not in wrong.value.message


def test_input_may_come_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
    assert first_context("-", ()) == {"a": 1}


def test_a_setting_is_json_where_it_is_json_else_a_string() -> None:
    settings = ("a.b=3", "a.c=three", 'l=[1, "x"]', "empty=", "eq=a=b")
    assert first_context(None, settings) == {
        "a": {"b": 3, "c": "three"},
        "l": [1, "x"],
        "empty": "",
        "eq": "a=b",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"a": 1, "a": 2}', "expected each key once, got 'a' twice"),
        ("9223372036854775808", "expected an integer of 64 bit"),
        ("1e999", "expected a finite number"),
        ('"\\ud800"', "lone surrogate"),
        ("[" * 200 + "]" * 200, "expected at most 128 levels"),
    ],
)
def test_a_setting_that_is_json_but_no_value_is_refused_and_not_taken_for_a_string(
    text: str, says: str
) -> None:
    with pytest.raises(WrongUse, match=says):
        first_context(None, (f"a={text}",))


@pytest.mark.parametrize("text", ["NaN", "-Infinity", "[1", "{a: 1}", "0x1F", "True", "'x'"])
def test_a_setting_that_only_looks_like_json_is_the_string_it_is(text: str) -> None:
    assert first_context(None, (f"a={text}",)) == {"a": text}


def test_a_setting_may_name_its_place_as_a_blueprint_does() -> None:
    settings = ("ctx.a.b=1", "$.a.c=2", 'ctx["d e"]=3', "$['f']=4", "ctxt=5", "ctx=6")
    assert first_context(None, settings) == {
        "a": {"b": 1, "c": 2},
        "d e": 3,
        "f": 4,
        "ctxt": 5,
        "ctx": 6,
    }


def test_settings_are_written_over_the_input_in_order() -> None:
    assert first_context('{"a": {"b": 1}, "l": [1]}', ("a.b=2", "a.b=3", "l[1]=2")) == {
        "a": {"b": 3},
        "l": [1, 2],
    }


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ('{"a": }', ("--input", "line 1", "column 7")),
        ('{"a": 1, "a": 2}', ("--input", "'a'", "twice")),
        ('{"a": NaN}', ("--input", "NaN")),
        ("[" * 100_000, ("--input",)),
        ("@nowhere.json", ("--input", "'nowhere.json'", "no such file")),
        ("@.", ("--input", "directory")),
        ("@", ("--input", "a file's name after '@'")),
        ("", ("--input", "the end of the text", "a value is due")),
    ],
)
def test_input_that_cannot_be_read_is_refused_with_its_place(
    source: str, words: tuple[str, ...]
) -> None:
    with pytest.raises(WrongUse) as caught:
        first_context(source, ())
    sentence = caught.value.format_message()
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_a_file_that_is_not_utf8_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "in.json").write_bytes(b'"\xff"')
    with pytest.raises(WrongUse, match=r"in\.json: expected UTF-8 text"):
        first_context(f"@{tmp_path}/in.json", ())


@pytest.mark.parametrize("setting", ["a", "=1", "a..b=1", "a[=1", "s.x=1"])
def test_a_setting_that_cannot_be_written_is_refused(setting: str) -> None:
    with pytest.raises(WrongUse, match="--set"):
        first_context('{"s": 1}', (setting,))
