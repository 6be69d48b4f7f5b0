"""Finding secrets, held against a slow model that looks at every member and text by itself."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swarm.middleware import secrets
from swarm.middleware.secrets import KEYS, MASK, Secrets
from tests.swarm.test_middleware_redact import HARMLESS, SECRETS

LOOKS = re.compile("|".join(secrets._LOOKS))  # pyright: ignore[reportPrivateUsage]
NAMES = st.sampled_from(
    ["user", "api_key", "API-Key", "Pass_Word", "token", "tokens", "n", "", "ä"]
)
TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(SECRETS),
    st.sampled_from(HARMLESS),
    st.builds("{} {}".format, st.sampled_from(SECRETS), st.sampled_from(HARMLESS)),
)
ATOMS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.lists(TEXTS, max_size=6),
        st.dictionaries(NAMES, inner, max_size=6),
    ),
    max_leaves=25,
)  # fmt: skip


def modelled(value: Any) -> Any:
    if isinstance(value, str):
        return LOOKS.sub(MASK, value)
    if isinstance(value, list):
        return [modelled(item) for item in value]
    if isinstance(value, dict):
        return {
            name: MASK if is_key(name) and member is not None else modelled(member)
            for name, member in value.items()
        }
    return value


def is_key(name: str) -> bool:
    return re.sub("[_-]", "", name).lower() in KEYS


def wrong(looks: Secrets, values: list[Any]) -> list[Any]:
    """Return the values of which something else is hidden than the model says."""
    found: list[Any] = []
    for value in values:
        before = copy.deepcopy(value)
        hidden, meant = looks.hidden(value), modelled(before)
        kept = hidden is value if meant == before else hidden is not value
        if hidden != meant or value != before or not kept:
            found.append(before)
    return found


@given(st.lists(VALUES, max_size=6))
def test_what_is_hidden_is_what_a_slow_model_hides(values: list[Any]) -> None:
    """One after the other: what is remembered of one value must not pass another."""
    assert wrong(Secrets(), values * 2) == []


def test_objects_of_a_sort_are_told_apart_by_what_they_hold() -> None:
    looks = Secrets()
    harmless = {"user": "ada", "text": "nothing to see here"}
    assert looks.hidden(harmless) is harmless
    assert looks.hidden({"user": "ada", "text": SECRETS[0]})["text"] == MASK
    assert looks.hidden({"user": "ada", "token": "t"})["token"] == MASK
    assert looks.hidden(harmless) is harmless


@pytest.mark.parametrize("word", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_a_bearer_is_one_in_every_spelling(word: str) -> None:
    assert Secrets().hidden([f"{word} {'x' * 20}"]) == [MASK]
    assert wrong(Secrets(), [f"{word} {'x' * 20}", f"{word} x"]) == []


def test_who_takes_no_name_for_that_of_a_secret_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def blind(self: Secrets, name: str) -> bool:
        return False

    monkeypatch.setattr(Secrets, "_is_key", blind)
    assert wrong(Secrets(), [{"token": "t"}, {"n": 1}]) == [{"token": "t"}]


def test_names_are_remembered_up_to_so_many() -> None:
    looks = Secrets()
    known = looks._known  # pyright: ignore[reportPrivateUsage]
    for number in range(10_001):
        looks.hidden({f"n{number}": 1})
    assert len(known) == 10_001
    assert looks.hidden({"token": "t"}) == {"token": MASK}
    assert known == {"token": True}
