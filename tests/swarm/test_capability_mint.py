"""Tokens as they are made, narrowed, read and handed on: each bound from both sides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from swarm.blueprint.canonical import canonical_bytes
from swarm.core.capability import chain
from swarm.core.capability.claims import (
    Claims,
    Unread,
    caveat_bytes,
    read_caveat,
    read_claims,
)
from swarm.core.capability.grant import Caveat, Grant
from swarm.core.capability.keys import Keyring, derived
from swarm.core.capability.mint import Order, mint, narrow, read, within
from swarm.core.capability.verbs import MAX_TTL_S, SKEW_S, TABLE
from swarm.errors import Refused

NOW_S = 1_790_000_000
RING = Keyring.fresh(NOW_S)
SUBJECT = (
    "expected a subject of 1 to 64 of letters, digits, '.', '_', '@', ':', '+', '-', a letter or "
    "digit first"
)
JOB = {"run": "r_1", "step": "$/1", "attempt": 2}


def minted(**order: Any) -> str:
    asked: dict[str, Any] = {"subject": "ada", "role": "operator", **order}
    return mint(RING, Order(**asked), NOW_S)


def claims_of(text: str) -> Claims:
    return read(text)[1]


# -- what may be asked for -----------------------------------------------------------------

REFUSED: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
    (
        {"role": "boss"},
        "expected a role of worker, observer, operator, senior, admin, got 'boss'",
        {"role": "observer"},
    ),
    ({"verbs": ()}, "expected one verb or more, got none", {"verbs": ("run.read",)}),
    (
        {"verbs": ("run.read", "audit.read")},
        "expected verbs that role 'operator' has, got 'audit.read' \u2014 swarm token verbs",
        {"role": "senior", "verbs": ("run.read", "audit.read")},
    ),
    (
        {"verbs": ("run.reed",)},
        "expected verbs that there are, got 'run.reed' \u2014 did you mean 'run.read'?",
        {"verbs": ("run.read",)},
    ),
    (
        {"verbs": ("zzzzzzzzzzzz",)},
        "expected verbs that there are, got 'zzzzzzzzzzzz'",
        {"verbs": ("run.list",)},
    ),
    ({"ttl_s": 0}, "expected 1 to 43200 seconds for role 'operator', got 0", {"ttl_s": 1}),
    (
        {"ttl_s": 43_201},
        "expected 1 to 43200 seconds for role 'operator', got 43201",
        {"ttl_s": 43_200},
    ),
    ({"step": "$/1"}, "expected a run beside the step, got none", {"run": "r_1", "step": "$/1"}),
    ({"run": "r_1", "attempt": 1}, "expected a step beside the attempt, got none", JOB),
    ({"depth": -1}, "expected a depth of 0 to 8, got -1", {"depth": 0}),
    ({"depth": 9}, "expected a depth of 0 to 8, got 9", {"depth": 8}),
    ({"uses": 0}, "expected uses, from 1, got 0", {"uses": 1}),
    ({"subject": ""}, f"{SUBJECT}, got ''", {"subject": "a"}),
    ({"subject": "a b"}, f"{SUBJECT}, got 'a b'", {"subject": "a" * 64}),
    ({"subject": "-a"}, f"{SUBJECT}, got '-a'", {"subject": "a-@b.c:d+e_1"}),
    ({"run": "r 1"}, "expected the id of a run, got 'r 1'", {"run": "r_1"}),
    (
        {"run": "r_1", "step": ""},
        "expected the key of a step, of at most 512 characters, got ''",
        {"run": "r_1", "step": "s" * 512},
    ),
    ({**JOB, "attempt": 0}, "expected an attempt, from 1, got 0", {**JOB, "attempt": 1}),
    (
        {"run": "r_1", "step": "\ud800"},
        "expected text without lone surrogates, got some",
        {"run": "r_1", "step": "\u00e9"},
    ),
]


@pytest.mark.parametrize(("order", "said", "fine"), REFUSED)
def test_what_may_not_be_asked_for_is_refused_in_one_sentence(
    order: dict[str, Any], said: str, fine: dict[str, Any]
) -> None:
    with pytest.raises(Refused) as refused:
        minted(**order)
    assert (refused.value.code, refused.value.message) == ("capability.mint", f"mint: {said}")
    assert claims_of(minted(**fine)).aud == RING.host


@pytest.mark.parametrize("role", list(TABLE))
def test_what_an_order_leaves_open_is_the_most_that_there_is(role: str) -> None:
    claims = claims_of(minted(role=role))
    assert claims.verbs == tuple(sorted(TABLE[role]))
    assert (claims.sub, claims.role, claims.epoch) == ("ada", role, RING.epoch)
    assert (claims.iat, claims.nbf, claims.exp) == (NOW_S, NOW_S, NOW_S + MAX_TTL_S[role])
    assert (claims.run, claims.step, claims.att, claims.uses, claims.depth) == (None,) * 4 + (0,)


def test_what_an_order_says_is_what_the_token_says() -> None:
    claims = claims_of(minted(verbs=("run.list", "run.read"), ttl_s=5, uses=3, depth=2, **JOB))
    assert claims.verbs == ("run.list", "run.read")
    assert (claims.run, claims.step, claims.att) == ("r_1", "$/1", 2)
    assert (claims.exp, claims.uses, claims.depth) == (NOW_S + 5, 3, 2)
    grant = claims.grant("print", "counter")
    assert (grant.counters, grant.token) == ((("counter", 3),), "print")
    assert replace(claims, uses=None).grant("print", "counter").counters == ()


# -- what may be said ----------------------------------------------------------------------

MEMBERS: list[tuple[str, list[Any], list[Any]]] = [
    ("aud", [RING.host], ["", 1, None, "a b"]),
    ("sub", ["ada", "a" * 64], ["", None, "a b", 5]),
    ("role", ["worker", "admin"], ["boss", "", None, 1]),
    ("verbs", [["run.read"], ["run.list", "run.read"]],
     [[], None, ["run.read", "run.read"], ["run.reed"], "run.read", [1]]),
    ("run", [None, "r_1"], ["", "r 1", 1]),
    ("step", [None, "$", "$" * 512], ["", 5, "$" * 5000]),
    ("att", [None, 1, 2], [0, -1, "1", True]),
    ("iat", [0, NOW_S], [-1, None, "0", 1.5]),
    ("nbf", [0, NOW_S], [-1, None]),
    ("exp", [0, NOW_S], [-1, None]),
    ("uses", [None, 1], [0, -1, "1"]),
    ("depth", [0, 8], [-1, 9, None]),
    ("epoch", [0, 1], [-1, None]),
    ("jti", [], ["", None, "xyz"]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "good", "bad"), MEMBERS, ids=[row[0] for row in MEMBERS])
def test_a_member_of_a_token_is_read_within_its_bounds(
    name: str, good: list[Any], bad: list[Any]
) -> None:
    wire = said_by(minted(**JOB))
    for value in good:
        found = getattr(read_claims(canonical_bytes({**wire, name: value})), name)
        assert found == (tuple(value) if isinstance(value, list) else value)
    for value in bad:
        with pytest.raises(Unread, match=f"^{name}$"):
            read_claims(canonical_bytes({**wire, name: value}))


def said_by(text: str) -> dict[str, Any]:
    claims = claims_of(text)
    members = {name: getattr(claims, name) for name in claims.__slots__}
    return {k: list(v) if isinstance(v, tuple) else v for k, v in members.items()}


def test_a_token_says_all_that_there_is_and_nothing_else() -> None:
    wire = said_by(minted())
    for wrong in ({**wire, "more": 1}, {k: v for k, v in wire.items() if k != "epoch"}):
        with pytest.raises(Unread, match="members"):
            read_claims(canonical_bytes(wrong))
    for wrong in (b"[]", b"1", b"", b"{"):
        with pytest.raises(Unread, match="json"):
            read_claims(wrong)


@pytest.mark.parametrize(
    ("fault", "said", "now_s"),
    [
        (None, {}, NOW_S),
        (None, {}, NOW_S + 99.9),
        ("expired", {}, NOW_S + 100),
        (None, {}, NOW_S - SKEW_S),
        ("not_yet", {}, NOW_S - SKEW_S - 1),
        ("not_yet", {"nbf": NOW_S + SKEW_S + 1}, NOW_S),
        (None, {"nbf": NOW_S + SKEW_S}, NOW_S),
        (None, {"exp": NOW_S + 43_200}, NOW_S),
        ("lifetime", {"exp": NOW_S + 43_201}, NOW_S),
        ("lifetime", {"iat": NOW_S + 5, "exp": NOW_S + 5}, NOW_S),
    ],
)
def test_a_token_has_its_time(fault: str | None, said: dict[str, Any], now_s: float) -> None:
    claims = replace(claims_of(minted(ttl_s=100)), **said)
    assert claims.time_fault(now_s) == fault


RESTRICTIONS: list[tuple[dict[str, Any], list[Any], list[Any]]] = [
    ({"verbs": "verbs"}, [frozenset(), frozenset({"run.read"})], [frozenset({"run.reed"})]),
    ({"run": "run"}, ["r_1"], ["", "r 1"]),
    ({"step": "step"}, ["$"], ["", "$" * 5000]),
    ({"attempt": "att"}, [1], [0]),
    ({"expires_s": "exp"}, [0, NOW_S], [-1]),
    ({"uses": "uses"}, [0, 1], [-1]),
    ({"depth": "depth"}, [0, 8], [-1, 9]),
]


@pytest.mark.parametrize(("name", "good", "bad"), RESTRICTIONS)
def test_a_caveat_is_written_as_it_is_read_within_its_bounds(
    name: dict[str, str], good: list[Any], bad: list[Any]
) -> None:
    ((field, member),) = name.items()
    for value in good:
        caveat = Caveat(**{field: value})
        assert read_caveat(caveat_bytes(caveat), "") == caveat
    for value in bad:
        with pytest.raises(Unread, match=f"^{member}$"):
            caveat_bytes(Caveat(**{field: value}))
    with pytest.raises(Unread, match="members"):
        caveat_bytes(Caveat())


# -- narrowing, and reading without a key --------------------------------------------------


def test_a_token_is_narrowed_eight_times_and_not_nine() -> None:
    text = minted()
    eight = narrow(text, *(Caveat(uses=n) for n in range(8)))
    kid, claims, caveats = read(eight)
    assert (kid, claims) == (RING.current.kid, claims_of(text))
    assert [read_caveat(raw, "").uses for raw in caveats] == list(range(8))
    assert told(narrow, eight, Caveat(uses=1)) == (
        "capability.caveat", "narrow: expected at most 8 caveats, got one more"
    )  # fmt: skip


def test_a_caveat_that_no_token_may_say_is_refused() -> None:
    caveat = Caveat(attempt=0)
    assert told(narrow, minted(), caveat) == (
        "capability.caveat", f"narrow: expected 'att' as a caveat may say it, got {caveat}"
    )  # fmt: skip


def test_a_token_grows_to_4096_characters_and_not_beyond() -> None:
    text, long = minted(run="r_1"), Caveat(step="$" * 400)
    more = len(narrow(text, long)) - len(text)
    while len(text) + more <= 4096:
        text = narrow(text, long)
    assert told(narrow, text, long) == (
        "capability.caveat", "narrow: the token would be longer than 4096 bytes"
    )  # fmt: skip


def test_what_is_no_token_is_neither_narrowed_nor_read() -> None:
    key = derived(RING.current.secret, "cap/operator")
    unreadable = chain.seal(key, RING.current.kid, b'{"sub":"ada"}')
    for text in ("", "v1", "v2" + minted()[2:], minted() + "\n", minted()[:-1]):
        assert told(narrow, text, Caveat(uses=1))[0] == "capability.token"
        assert told(read, text)[0] == "capability.token"
    assert told(read, unreadable)[0] == "capability.token"


def told(act: Any, *given: Any) -> tuple[str, str]:
    with pytest.raises(Refused) as refused:
        act(*given)
    return refused.value.code, refused.value.message


# -- handing on ----------------------------------------------------------------------------

PARENT = Grant(
    "ada", "senior", frozenset({"run.read", "run.list"}), "r_1", None, None,
    NOW_S + 100, (("a", 9), ("b", 5)), 2,
)  # fmt: skip
CHILD = Order("eve", "admin", ttl_s=50, uses=5, depth=1)

WITHIN: list[tuple[str | None, dict[str, Any], dict[str, Any]]] = [
    (None, {}, {}),
    ("spawn_depth", {"depth": 0}, {}),
    ("spawn_depth", {}, {"depth": 2}),
    (None, {}, {"depth": None}),
    (None, {"depth": 1}, {"depth": 0}),
    (None, {}, {"verbs": ("run.read",)}),
    ("verb", {}, {"verbs": ("run.read", "run.cancel")}),
    ("verb", {"verbs": None}, {}),
    ("verb", {"verbs": None}, {"verbs": ("run.read",)}),
    (None, {}, {"run": "r_1"}),
    ("run", {}, {"run": "r_2"}),
    (None, {"run": None}, {"run": "r_2"}),
    (None, {"step": "$/1"}, {"step": "$/1"}),
    ("run", {"step": "$/1"}, {"step": "$/2"}),
    ("run", {"attempt": 1}, {"attempt": 2}),
    (None, {}, {"ttl_s": 100}),
    ("expires", {}, {"ttl_s": 101}),
    (None, {}, {"ttl_s": None}),
    ("expires", {"expires_s": None}, {"ttl_s": 86_401}),
    (None, {"expires_s": None}, {"ttl_s": 86_400}),
    ("uses", {}, {"uses": 6}),
    ("uses", {}, {"uses": None}),
    (None, {"counters": ()}, {"uses": None}),
]


@pytest.mark.parametrize(("why", "parent", "order"), WITHIN)
def test_a_child_is_within_its_parent(
    why: str | None, parent: dict[str, Any], order: dict[str, Any]
) -> None:
    above, asked = replace(PARENT, **parent), replace(CHILD, **order)
    fitted, refused = within(above, asked, NOW_S + 0.9)
    assert refused == why
    if why is not None:
        assert fitted is asked
        return
    left_s = 86_400 if above.expires_s is None else above.expires_s - NOW_S
    assert fitted == Order(
        subject="ada",
        role="senior",
        verbs=above.verbs if asked.verbs is None else frozenset(asked.verbs),
        run=above.run or asked.run,
        step=above.step or asked.step,
        attempt=above.attempt or asked.attempt,
        ttl_s=left_s if asked.ttl_s is None else asked.ttl_s,
        uses=asked.uses,
        depth=asked.depth,
    )
