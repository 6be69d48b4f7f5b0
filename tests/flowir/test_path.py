from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowir.errors import FlowError, Malformed, shorten
from flowir.path import ROOT, Path, format_path, parse_path, read
from tests.flowir.strategies import json_values

JSON = Any
_names = st.text(min_size=1, max_size=6)
_paths = st.builds(
    Path,
    st.lists(_names | st.integers(-(10**16), 10**16), max_size=5).map(tuple),
    st.sampled_from((None, "item", "_x9")),
)


@settings(max_examples=300, deadline=None)
@given(_paths)
def test_a_path_is_printed_and_read_back(path: Path) -> None:
    assert parse_path(format_path(path)) == path
    assert str(path) == format_path(path)


@settings(max_examples=200, deadline=None)
@given(_names)
def test_a_key_is_read_in_either_quotes(name: str) -> None:
    body = json.dumps(name)[1:-1].replace('\\"', '"').replace("'", "\\'")
    assert parse_path(f"$['{body}']").segments == (name,)
    assert parse_path(f"$[{json.dumps(name, ensure_ascii=False)}]").segments == (name,)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="$ctx@ab.[]\"'\\0-1 é\n", max_size=9))
def test_any_text_is_a_path_that_is_printed_alike_or_is_malformed(text: str) -> None:
    try:
        path = parse_path(text)
    except Malformed:
        return
    assert parse_path(format_path(path)) == path


@pytest.mark.parametrize(
    ("text", "segments"),
    [
        ("$", ()),
        ("ctx", ()),
        ("ctx.a", ("a",)),
        ("ctx[0]", (0,)),
        ("$.a.b[-1]", ("a", "b", -1)),
        ("$['it\\'s \"so\"']", ('it\'s "so"',)),
        ('$["\\u00e9\\n"]', ("é\n",)),
        ('$["\\ud83d\\ude00"]', ("😀",)),
        ("$.größe-1", ("größe-1",)),
        ("$[999999999999999999]", (999999999999999999,)),
    ],
)
def test_what_a_path_says(text: str, segments: tuple[str | int, ...]) -> None:
    assert parse_path(text).segments == segments


_ROOT = "it does not begin with '$', 'ctx' or '@name' at column 1 — write $.name"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", _ROOT),
        ("a.b", _ROOT),
        ("context.a", _ROOT),
        ("@", _ROOT),
        ("@1", _ROOT),
        ("$foo", "unexpected 'f' at column 2 — write .name, [0] or [\"any key\"]"),
        ("$.", 'a name is missing at column 3 — write .name or ["any key"]'),
        ("$.a..b", 'a name is missing at column 5 — write .name or ["any key"]'),
        ("$.a[", "expected an index or a quoted key, closed by ']' at column 5"),
        ("$.a[1", "expected an index or a quoted key, closed by ']' at column 5"),
        ("$.a[01]", "expected an index or a quoted key, closed by ']' at column 5"),
        ("$[-0]", "-0 is not an index at column 3"),
        ("$[1000000000000000000]", "1000000000000000000 is not an index at column 3"),
        ('$.a[""]', "a key may not be empty at column 5"),
        ('$.a["x"]b', "unexpected 'b' at column 9 — write .name, [0] or [\"any key\"]"),
        ("$['a\\\"b']", "the quoted key has a wrong escape at column 3"),
        ('$["a\\\'b"]', "the quoted key has a wrong escape at column 3"),
        ('$["\\x41"]', "the quoted key has a wrong escape at column 3"),
        ('$["\\ud800"]', "the quoted key has a wrong escape at column 3"),
        ('$["a\nb"]', "expected an index or a quoted key, closed by ']' at column 3"),
    ],
)
def test_what_is_no_path_says_why(text: str, says: str) -> None:
    with pytest.raises(Malformed) as caught:
        parse_path(text, at="$.out")
    (_, said) = str(caught.value).split(f"$.out: expected a path, got {shorten(text)}: ")
    assert said == says
    assert caught.value.at == "$.out"


@settings(max_examples=200, deadline=None)
@given(json_values)
def test_what_stands_somewhere_is_read_there(value: JSON) -> None:
    for segments, found in _places(value):
        assert read(value, Path(segments)) is found


def _places(value: JSON, above: tuple[str | int, ...] = ()) -> list[Any]:
    found: list[Any] = [(above, value)]
    if isinstance(value, dict):
        for name, member in value.items():
            found += _places(member, (*above, name))
    elif isinstance(value, list):
        for i, item in enumerate(value):
            found += _places(item, (*above, i)) + _places(item, (*above, i - len(value)))
    return found


CTX: JSON = {"a": {"l": [1, 2]}, "s": "text", "n": None}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("$.b", "expected a member 'b' of $, which has no such member"),
        ("$.a.l.x", "expected a member 'x' of $.a.l, got [1, 2]"),
        ("$.s.x", "expected a member 'x' of $.s, got 'text'"),
        ("$.n.x.y", "expected a member 'x' of $.n, got null"),
        ("$.a.l[2]", "expected an item [2] of $.a.l, which has 2 items"),
        ("$.a.l[-3]", "expected an item [-3] of $.a.l, which has 2 items"),
        ("$.a[0]", "expected an item [0] of $.a, got {'l': […]}"),
        ("$.s[0]", "expected an item [0] of $.s, got 'text'"),
    ],
)
def test_what_is_not_there_is_missing(text: str, says: str) -> None:
    with pytest.raises(FlowError) as caught:
        read(CTX, parse_path(text))
    assert (caught.value.code, caught.value.message) == ("path.missing", says)


def test_a_present_null_is_read() -> None:
    assert read(CTX, parse_path("$.n")) is None
    assert read(CTX, ROOT) is CTX


def test_what_is_no_name_is_printed_as_it_is_written() -> None:
    assert format_path(Path(("ä b", "é", 0))) == '$["ä b"]["é"][0]'
