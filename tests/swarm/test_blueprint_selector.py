"""Selectors, labels, ranges and tags."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from semantic_version import NpmSpec, Version  # pyright: ignore[reportMissingTypeStubs]

from swarm.blueprint.ranges import format_label, parse_label, parse_range
from swarm.blueprint.selector import moment_of, parse_selector, parse_tag
from swarm.errors import Refused

RANGES = [
    "^1.2 || >3", "~1.2.3", "*", "1.x || 3.x", ">=1 <3", "1.2.3 - 2.3.4", "<2", "<=1.2.3",
    ">1.2.3-alpha", "^0.0.3", "^0.2", "1", "=1.2.3", ">=1.2.3-alpha <1.0", "x", "1.2.x",
    ">1.2", "<=2.1", "~1", "^0", ">=2 || <1",
]  # fmt: skip


@pytest.mark.parametrize("text", RANGES)
def test_a_range_means_what_npm_means_by_it(text: str) -> None:
    intervals = parse_range(text)
    assert intervals is not None
    judge = NpmSpec(text)
    draw = random.Random(text)  # noqa: S311 - drawn again from its seed
    for _ in range(400):
        label = (draw.randint(0, 4), draw.randint(0, 4), draw.randint(0, 4))
        ours = any(low <= label and (high is None or label < high) for low, high in intervals)
        assert ours == judge.match(Version(format_label(label))), (text, label)


@pytest.mark.parametrize("text", ["", " ", "prod", "^", "1.2.3.4", "^1.2 |", "a" * 101])
def test_what_is_no_range_is_none(text: str) -> None:
    assert parse_range(text) is None


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("review", ("latest",)),
        ("review@latest", ("latest",)),
        ("review@1.2.3", ("label",)),
        ("review@1.2", ("range",)),
        ("review@1234567", ("range", "hash")),
        ("review@abcdef0", ("tag", "hash")),
        ("review@0abcdef", ("hash",)),
        ("review@prod", ("tag",)),
        ("review@{2026-11-01}", ("moment",)),
    ],
)
def test_the_kinds_of_selectors(text: str, kinds: tuple[str, ...]) -> None:
    assert parse_selector(text).kinds == kinds


@pytest.mark.parametrize(
    "text", ["review@", "review@{yesterday}", "review@abc DEF", "review@@", "review@../x",
             "review@{2026-13-01}", "review@1.2.3-beta.1.", "review@" + "f" * 65]
)  # fmt: skip
def test_what_is_no_selector_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_selector(text)
    assert caught.value.code == "version.selector"


@pytest.mark.parametrize("text", ["", "@1.0.0", "A", "../x@1", "a b", "x.git"])
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(Refused) as caught:
        parse_selector(text)
    assert caught.value.code == "version.id"


def test_moments_are_utc_and_a_day_means_its_end() -> None:
    assert moment_of("{1970-01-01T00:01}") == 60.0
    assert moment_of("{1970-01-01T01:00+01:00}") == 0.0
    assert moment_of("{1970-01-01}") == 86400.0
    assert moment_of("1970-01-01") is None


def test_labels_are_three_plain_numbers() -> None:
    assert parse_label("1.20.3") == (1, 20, 3)
    for text in ("1.2", "01.2.3", "1.2.3.4", "v1.2.3", "1.2.-3", "1.2.x", "1.2.9999999999"):
        with pytest.raises(Refused):
            parse_label(text)


def test_tags_have_a_closed_alphabet() -> None:
    assert parse_tag("prod-eu_1") == "prod-eu_1"
    for text in ("x", "latest", "deadbeef", "Prod", "a.b", "-a", "a" * 64):
        with pytest.raises(Refused):
            parse_tag(text)


# -- what is said, and both sides of each end ------------------------------------------------


@pytest.mark.parametrize(
    ("text", "intervals"),
    [
        ("1.2.3", (((1, 2, 3), (1, 2, 4)),)),
        (">1.2.3", (((1, 2, 4), None),)),
        (">=1.2.3", (((1, 2, 3), None),)),
        ("<1.2.3", (((0, 0, 0), (1, 2, 3)),)),
        ("<=1.2.3", (((0, 0, 0), (1, 2, 4)),)),
        ("*", (((0, 0, 0), None),)),
        (">=2.0.0 <1.0.0", ()),
        (">=1.0.0 <1.0.0", ()),
        ("<3.0.0 <2.0.0", (((0, 0, 0), (2, 0, 0)),)),
        ("<2.0.0 <3.0.0", (((0, 0, 0), (2, 0, 0)),)),
        ("<2.0.0 >=1.0.0", (((1, 0, 0), (2, 0, 0)),)),
        (">=1.0.0 || <0.5.0 || >=1.0.0 <2.0.0", (
            ((0, 0, 0), (0, 5, 0)), ((1, 0, 0), (2, 0, 0)), ((1, 0, 0), None),
        )),
        (">=1.0.0 <3.0.0 || >=1.0.0 <2.0.0", (
            ((1, 0, 0), (2, 0, 0)), ((1, 0, 0), (3, 0, 0)),
        )),
        ("<1.0.0 || " + "1.0.0 || " * 9 + "9.9.999", (
            ((0, 0, 0), (1, 0, 0)), ((1, 0, 0), (1, 0, 1)), ((9, 9, 999), (9, 9, 1000)),
        )),
    ],
)  # fmt: skip
def test_a_range_is_these_intervals_in_this_order(text: str, intervals: object) -> None:
    found = parse_range(text)
    if len(text) > 90:
        assert len(text) < 100
        padded = text.replace("9.9.999", " " * (100 - len(text)) + "9.9.999")
        assert (len(padded), parse_range(padded)) == (100, intervals)
        assert parse_range(" " + padded) is None
    assert found == intervals


@pytest.mark.parametrize(
    ("read", "text", "code", "said"),
    [
        (parse_label, "1.2", "label", "label: expected three numbers such as 1.2.3, got '1.2'"),
        (
            parse_selector,
            "review@",
            "selector",
            (
                "review: expected 'latest', a label such as 1.2.3, a range such as ^1.2, a tag, a "
                "moment such as {2026-11-01}, or 7 or more digits of a hash, got ''"
            ),
        ),
        (
            parse_tag,
            "latest",
            "tag",
            (
                "tag: expected 1 to 63 of a-z, 0-9, '_', '-', a letter first, that is no 'latest', "
                "no range and no hash, got 'latest'"
            ),
        ),
    ],
)
def test_what_is_none_is_refused_in_one_sentence(
    read: Callable[[str], object], text: str, code: str, said: str
) -> None:
    with pytest.raises(Refused) as caught:
        read(text)
    assert (caught.value.code, str(caught.value)) == (f"version.{code}", said)
    assert text in caught.value.values.values()


def test_a_selector_is_written_as_it_was_read() -> None:
    assert str(parse_selector("review@^1.2")) == "review@^1.2"
    assert str(parse_selector("review")) == "review@latest"
    assert parse_selector("review@latest") == parse_selector("review")


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("0.1.999999999", ("label",)),
        ("abcdef", ("tag",)),
        ("fedcba9", ("tag", "hash")),
        ("f" * 63, ("tag", "hash")),
        ("f" * 64, ("hash",)),
        ("a" * 63, ("tag", "hash")),
        ("b" + "z" * 62, ("tag",)),
        ("{1970-01-01T00:00:00Z}", ("moment",)),
    ],
)
def test_what_words_may_mean_ends_where_it_does(text: str, kinds: tuple[str, ...]) -> None:
    assert parse_selector(f"review@{text}").kinds == kinds


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("{1970-01-01T00:00:00}", 0.0),
        ("{1970-01-01 00:00:01Z}", 1.0),
        ("{1970-01-02}", 172_800.0),
        ("{1970-01-01T00}", 0.0),
        ("{1970-13-01}", None),
        ("{1970-01-0}", None),
        ("{}", None),
        ("{1970-01-01", None),
    ],
)
def test_a_moment_is_read_with_or_without_a_time(text: str, moment: float | None) -> None:
    assert moment_of(text) == moment
