"""The rules and the table, asked by themselves."""

from __future__ import annotations

import pytest

from swarm.core.capability.grant import OWNER
from swarm.core.capability.rules import covers
from swarm.core.capability.verbs import (
    MAX_DEPTH,
    MAX_TTL_S,
    ROLES,
    SKEW_S,
    TABLE,
    VERBS,
    altered,
    table_rows,
)
from swarm.errors import Refused


@pytest.mark.parametrize("verb", list(VERBS))
def test_the_owner_may_do_all_that_there_is(verb: str) -> None:
    found = covers(OWNER, verb, TABLE)
    assert (found.allowed, found.reason, found.verb, found.grant) == (True, "ok", verb, OWNER)


def test_the_owner_may_do_nothing_that_there_is_not() -> None:
    found = covers(OWNER, "run.fly", TABLE)
    assert (found.allowed, found.reason) == (False, "verb")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"boss": []}, "a role that there is, got 'boss'"),
        ({"seniors": []}, "a role that there is, got 'seniors' \u2014 did you mean 'senior'?"),
        (
            {"senior": ["run.reed"]},
            "a verb that there is, got 'run.reed' \u2014 did you mean 'run.read'?",
        ),
        ({"senior": ["zzzzzzzzzzz"]}, "a verb that there is, got 'zzzzzzzzzzz'"),
    ],
)  # fmt: skip
def test_a_table_names_roles_and_verbs_that_there_are(
    rows: dict[str, list[str]], said: str
) -> None:
    with pytest.raises(Refused) as refused:
        altered(rows)
    assert refused.value.code == "capability.table"
    assert refused.value.message == f"roles: expected {said}"


def test_the_rows_that_are_replaced_are_another_s_and_the_rest_stays() -> None:
    table = altered({"worker": ["run.read"]})
    assert table["worker"] == {"run.read"}
    assert {role: table[role] for role in ROLES if role != "worker"} == {
        role: TABLE[role] for role in ROLES if role != "worker"
    }
    head, *rows = table_rows(table)
    assert head == ("verb", *ROLES, "does")
    assert [row[0] for row in rows] == list(VERBS)
    for verb, *marks, does in rows:
        assert marks == ["x" if verb in table[role] else "-" for role in ROLES]
        assert does == VERBS[verb]


def test_a_token_lives_as_long_as_its_page_says() -> None:
    """In seconds, and minutes, hours and days are theirs; two clocks may differ by five."""
    assert dict(MAX_TTL_S) == {
        "worker": 30 * 60,
        "observer": 12 * 3_600,
        "operator": 12 * 3_600,
        "senior": 24 * 3_600,
        "admin": 3_600,
    }
    assert (SKEW_S, MAX_DEPTH) == (5, 8)
