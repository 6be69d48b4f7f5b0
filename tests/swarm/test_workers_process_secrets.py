"""Secrets by themselves: which are kept, how they are handed over, where they are taken out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from swarm.errors import Refused
from swarm.workers.process.secrets import Redactor, SecretBook, SecretsTooLarge, handed_over

MOST = 60 * 1024


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("", False), ("1234567", False), ("12345678", True), ("\u00e9" * 4, True),
        ("\u00e9" * 3 + "a", False), ("x" * MOST, True), ("x" * (MOST + 1), False),
        ("\u20ac" * (MOST // 3), True), ("\u20ac" * (MOST // 3) + "a", False),
        ("\ud800" * 3, True), ("\ud800" * 2, False),
    ],
)  # fmt: skip
def test_a_secret_has_so_many_bytes_that_it_can_be_told_from_words(value: str, good: bool) -> None:
    book = SecretBook()
    if good:
        book.add("key", value)
        assert book.of(["key"]) == {"key": value}
        return
    with pytest.raises(Refused) as refused:
        book.add("key", value)
    size = len(value.encode("utf-8", "surrogatepass"))
    assert refused.value.code == "secret.value"
    assert refused.value.message == (
        f"host.secret: expected 'key' to have 8 to 61440 bytes, got {size} "
        "\u2014 a short one could not be told from other words"
    )
    assert "key" not in book


@pytest.mark.parametrize("name", ["", "a b", "1a", "a-b", "a\n"])
def test_a_secret_has_a_name(name: str) -> None:
    with pytest.raises(Refused) as refused:
        SecretBook().add(name, "x" * 8)
    assert refused.value.code == "secret.name"
    assert refused.value.message == f"host.secret: expected a name, got {name!r}"


def test_a_book_shows_names_alone() -> None:
    book = SecretBook()
    book.add("b", "x" * 8)
    book.add("a", "y" * 8)
    book.add("b", "z" * 8)
    assert repr(book) == "SecretBook(['a', 'b'])"
    assert ("a" in book, "c" in book) == (True, False)
    assert book.of(["b", "a"]) == {"b": "z" * 8, "a": "y" * 8}
    assert book.of([]) == {}
    with pytest.raises(KeyError):
        book.of(["c"])


def test_secrets_are_handed_over_in_one_line_of_just_so_many_bytes() -> None:
    assert handed_over({"a": "\u00e9\n"}) == '{"a": "\u00e9\\n"}\n'.encode()
    empty = len(handed_over({"a": ""}))
    assert len(handed_over({"a": "x" * (MOST - empty)})) == MOST
    with pytest.raises(SecretsTooLarge) as large:
        handed_over({"a": "x" * (MOST - empty + 1)})
    assert str(large.value) == "expected at most 61440 bytes of secrets, got 61441"


SECRETS = {
    "key": 'say "hello" twice',
    "pem": "-----BEGIN\nabcdefgh\nshort\n\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9\u00e9",
}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nothing", "nothing"),
        ('I say "hello" twice.', "I [secret key]."),
        (json.dumps({"a": SECRETS["key"]}), '{"a": "[secret key]"}'),
        (SECRETS["pem"], "[secret pem]"),
        (json.dumps(SECRETS["pem"]), '"[secret pem]"'),
        ("line abcdefgh, and short", "line [secret pem], and short"),
        ("abcdefgh abcdefgh", "[secret pem] [secret pem]"),
        ("-----BEGIN", "[secret pem]"),
        ("\u00e9" * 8, "[secret pem]"),
        ("abcdefg", "abcdefg"),
    ],
)
def test_a_text_is_without_secrets_in_whatever_form(text: str, said: str) -> None:
    assert Redactor(SECRETS).text(text) == said


def test_the_longest_form_goes_first() -> None:
    redactor = Redactor({"a": "12345678", "b": "1234567890"})
    assert redactor.text("1234567890 12345678") == "[secret b] [secret a]"
    assert redactor.longest == 10
    assert Redactor({"a": "\u00e9" * 8}).longest == len("\\u00e9" * 8)
    assert Redactor({}).longest == 0


def test_a_value_is_without_secrets_to_its_depth() -> None:
    redactor = Redactor({"a": "12345678"})
    value: Any = {"12345678": ["x12345678", {"k": "12345678"}, 5, None, True, 1.5], "k": "none"}
    assert redactor.value(value) == {
        "[secret a]": ["x[secret a]", {"k": "[secret a]"}, 5, None, True, 1.5], "k": "none",
    }  # fmt: skip
    assert Redactor({}).value(value) is value
