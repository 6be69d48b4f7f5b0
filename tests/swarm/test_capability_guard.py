"""Keys and the guard by themselves: what lives how long, who is told what, which uses are left."""

from __future__ import annotations

import hmac
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import Any

import pytest

from swarm.blueprint.canonical import canonical_bytes
from swarm.core.capability import chain
from swarm.core.capability.claims import MAX_TOKEN, Unread, read_caveat, read_claims
from swarm.core.capability.grant import OWNER, Caveat, Grant, worker_grant
from swarm.core.capability.guard import DESK, WORK
from swarm.core.capability.keys import Keyring, SigningKey, derived
from swarm.core.capability.mint import narrow
from swarm.core.capability.rules import Decision, covers
from swarm.core.capability.verbs import MAX_DEPTH, MAX_TTL_S, SKEW_S, TABLE, VERBS
from swarm.errors import Denied, Refused
from tests.swarm.desk import ALL, NOW_S, Desk

OVERLAP_S = 86_400 + 60


# -- keys ----------------------------------------------------------------------------------


def test_a_host_begins_with_one_key_of_32_bytes_and_a_name() -> None:
    ring, other = Keyring.fresh(NOW_S + 0.9), Keyring.fresh(NOW_S)
    (key,) = ring.keys
    assert ring.current is key
    assert (len(key.secret), key.made_s, key.retired_s) == (32, NOW_S, None)
    assert (len(key.kid), len(ring.host)) == (8, 26)
    assert ring.host.startswith("h_")
    assert (ring.epoch, ring.high_s, ring.witnesses) == (0, 0, {})
    assert {ring.host, key.kid, key.secret}.isdisjoint({other.host, *other.keys[0].kid})
    # What is shown of it is not what it keeps.
    assert repr(SigningKey("a", b"hidden", 1)) == "SigningKey(kid='a', made_s=1, retired_s=None)"


def test_the_key_of_each_purpose_is_another_of_32_bytes() -> None:
    secret = bytes(32)
    keys = [derived(secret, info) for info in ("cap/operator", "cap/worker", "audit")]
    assert [len(key) for key in keys] == [32, 32, 32]
    assert len({*keys, secret}) == 4
    assert derived(secret, "audit") == derived(bytes(32), "audit") != derived(b"x" * 32, "audit")


def test_a_key_that_was_replaced_lives_as_long_as_a_token_and_a_minute() -> None:
    assert max(MAX_TTL_S.values()) == 86_400
    key = SigningKey("a", b"", NOW_S)
    assert key.lives(NOW_S + 1e9)
    old = replace(key, retired_s=NOW_S)
    assert old.lives(NOW_S + OVERLAP_S - 0.1)
    assert not old.lives(NOW_S + OVERLAP_S)
    ring = Keyring("h", (old, SigningKey("b", b"", NOW_S)))
    assert ring.find("a", NOW_S) is old
    assert ring.find("a", NOW_S + OVERLAP_S) is None
    assert ring.find("b", NOW_S + OVERLAP_S) is ring.keys[1]
    assert ring.find("c", NOW_S) is None


def test_three_keys_live_and_a_fourth_waits_until_the_first_has_ended() -> None:
    ring = Keyring.fresh(NOW_S)
    for after_s in (1.9, 2.5):
        before = ring
        ring = ring.rotated(NOW_S + after_s)
        assert ring.keys[:-2] == before.keys[:-1]
        assert ring.keys[-2] == replace(before.keys[-1], retired_s=NOW_S + int(after_s))
        assert (ring.current.made_s, ring.current.retired_s) == (NOW_S + int(after_s), None)
    first = ring.keys[0].kid
    with pytest.raises(Refused) as refused:
        ring.rotated(NOW_S + 11.5)
    assert (refused.value.code, refused.value.message) == (
        "keys.live",
        (
            "rotate: expected at most 3 live signing keys, got one more \u2014 "
            f"{first!r} ends in {OVERLAP_S - 11} s, or revoke it"
        ),
    )
    later = ring.rotated(NOW_S + 1 + OVERLAP_S)
    assert [key.kid for key in later.keys[:-1]] == [key.kid for key in ring.keys[1:]]


def test_a_key_that_is_taken_away_leaves_one_to_mint_with() -> None:
    ring = Keyring.fresh(NOW_S).rotated(NOW_S + 1)
    old, new = ring.keys
    assert ring.without(old.kid, NOW_S).keys == (new,)
    left = ring.without(new.kid, NOW_S + 5.5)
    assert left.keys[0] == old
    assert (left.current.made_s, left.current.retired_s) == (NOW_S + 5, None)
    alone = Keyring.fresh(NOW_S)
    assert len(alone.without(alone.current.kid, NOW_S).keys) == 1
    with pytest.raises(Refused) as refused:
        ring.without("none", NOW_S)
    assert (refused.value.code, refused.value.message) == (
        "keys.unknown",
        f"expected a signing key of {old.kid!r}, {new.kid!r}, got 'none'",
    )


# -- the form of a token -------------------------------------------------------------------


def test_a_token_is_taken_apart_by_its_form_alone() -> None:
    text = chain.seal(b"k" * 32, "kid", b"claims")
    pieces = chain.split(text)
    assert pieces is not None
    assert (pieces.kid, [chain.decoded(one) for one in pieces.body]) == ("kid", [b"claims"])
    assert chain.holds(pieces, b"k" * 32) == (pieces.tag,)
    assert chain.holds(pieces, b"l" * 32) is None
    more = chain.split(chain.extended(text, pieces, b"caveat"))
    assert more is not None
    assert [chain.decoded(one) for one in more.body] == [b"claims", b"caveat"]
    assert chain.holds(more, b"k" * 32) == (pieces.tag, more.tag)
    for wrong in (None, text.encode(), text + "=", f" {text}", text.replace("v1", "v2"), ""):
        assert chain.split(wrong) is None
    longest = text.replace("kid.", "kid." + "A" * (4096 - len(text)))
    assert len(longest) == MAX_TOKEN == 4096
    assert chain.split(longest) is not None
    assert chain.split(longest.replace("kid.", "kid.A")) is None


def test_a_token_is_the_chain_that_its_page_says() -> None:
    """By another hand: HMAC-SHA256 of what was received, each tag the key of the next."""

    def mac(key: bytes, said: bytes) -> bytes:
        return hmac.new(key, said, "sha256").digest()

    def spelled(raw: bytes) -> str:
        return urlsafe_b64encode(raw).rstrip(b"=").decode()

    key, claims, caveat = b"k" * 32, spelled(b'{"a":1}'), spelled(b'{"b":2}')
    first = mac(key, b"cap.v1\0kid\0" + claims.encode())
    token = chain.seal(key, "kid", b'{"a":1}')
    assert token == f"v1.kid.{claims}.{spelled(first)}"
    pieces = chain.split(token)
    assert pieces is not None
    second = mac(first, b"caveat.v1\0" + caveat.encode())
    assert chain.extended(token, pieces, b'{"b":2}') == (
        f"v1.kid.{claims}.{caveat}.{spelled(second)}"
    )


OUTSIDE: list[tuple[str, Any, Any]] = [
    *((name, 2**53, 2**53 + 1) for name in ("iat", "nbf", "exp", "epoch", "att")),
    ("uses", 1_000_000, 1_000_001),
    ("step", "$" * 512, "$" * 513),
    ("aud", "h_" + "a" * 8, "h_" + "a" * 7),
    ("aud", "h_" + "a" * 40, "h_" + "a" * 41),
    ("sub", "a" * 64, "a" * 65),
    ("run", "a" * 64, "a" * 65),
    ("jti", "0" * 32, "0" * 31),
    ("jti", "f" * 32, "f" * 33),
]


@pytest.mark.parametrize(("name", "last", "beyond"), OUTSIDE)
def test_a_member_has_its_end(name: str, last: Any, beyond: Any) -> None:
    wire = Desk().claims()
    assert getattr(read_claims(canonical_bytes({**wire, name: last})), name) == last
    with pytest.raises(Unread, match=f"^{name}$"):
        read_claims(canonical_bytes({**wire, name: beyond}))


def test_a_caveat_has_the_same_ends() -> None:
    for name, last in (("uses", 1_000_000), ("exp", 2**53), ("att", 2**53)):
        assert read_caveat(canonical_bytes({name: last}), "c").counter == "c"
        with pytest.raises(Unread, match=f"^{name}$"):
            read_caveat(canonical_bytes({name: last + 1}), "")


def test_a_spelling_that_is_not_the_one_is_none() -> None:
    assert [chain.decoded(one) for one in ("", "AA", "AAA", "AAAA")] == [
        b"", b"\0", b"\0\0", b"\0\0\0",
    ]  # fmt: skip
    for wrong in ("A", "AAAAA", "AB", "AAB"):
        assert chain.decoded(wrong) is None
    assert chain.fingerprint("a") != chain.fingerprint("b")
    assert chain.FINGERPRINT.fullmatch(chain.fingerprint("a"))


def test_what_is_signed_is_no_larger_than_a_token_may_be() -> None:
    deep = b'{"a":' * 5 + b"1" + b"}" * 5
    for text in (deep, b'{"a":"' + b"x" * MAX_TOKEN * 4 + b'"}'):
        with pytest.raises(Unread, match="json"):
            read_claims(text)
    with pytest.raises(Unread, match="members"):
        read_claims(b'{"a":{"b":{"c":1}}}')


# -- grants --------------------------------------------------------------------------------

GRANT = Grant("ada", "operator", frozenset({"run.read", "run.list"}), "r", "s", 2, 100, (), 3)

NARROWED: list[tuple[Caveat, dict[str, Any]]] = [
    (Caveat(), {}),
    (Caveat(verbs=frozenset({"run.read", "run.cancel"})), {"verbs": frozenset({"run.read"})}),
    (Caveat(run="r", step="s", attempt=2), {}),
    (Caveat(run="x"), {"void": True}),
    (Caveat(step="x"), {"void": True}),
    (Caveat(attempt=3), {"void": True}),
    (Caveat(expires_s=99), {"expires_s": 99}),
    (Caveat(expires_s=100), {}),
    (Caveat(expires_s=101), {}),
    (Caveat(uses=0, counter="c"), {"counters": (("c", 0),)}),
    (Caveat(depth=2), {"depth": 2}),
    (Caveat(depth=4), {}),
]


@pytest.mark.parametrize(("caveat", "changed"), NARROWED)
def test_a_caveat_takes_and_never_gives(caveat: Caveat, changed: dict[str, Any]) -> None:
    assert GRANT.narrowed(caveat) == replace(GRANT, **changed)
    void = replace(GRANT, void=True)
    assert void.narrowed(caveat).void


def test_what_was_open_is_what_a_caveat_says() -> None:
    opened = Grant("ada", "operator")
    caveat = Caveat(frozenset({"run.read"}), "r", "s", 2, 50, 1, 3, "c")
    assert opened.narrowed(caveat) == Grant(
        "ada", "operator", frozenset({"run.read"}), "r", "s", 2, 50, (("c", 1),), 3
    )
    assert opened.narrowed(Caveat()) == opened
    twice = opened.narrowed(Caveat(uses=2, counter="a")).narrowed(Caveat(uses=1, counter="b"))
    assert twice.counters == (("a", 2), ("b", 1))


def test_who_works_may_hand_on_so_deep_and_each_one_less() -> None:
    grant = worker_grant("writer", "r", "s", 2)
    assert grant == Grant("agent:writer", "worker", None, "r", "s", 2, depth=MAX_DEPTH)
    assert grant.child() == replace(grant, depth=MAX_DEPTH - 1)
    assert (OWNER.subject, OWNER.role, OWNER.verbs) == ("owner", "owner", frozenset(VERBS))
    assert worker_grant("w", "r", "s", 1, 0).depth == 0


# -- what is told --------------------------------------------------------------------------


def test_a_decision_is_a_yes_or_a_no_and_says_whose() -> None:
    yes, no = Decision(True, "ok", "run.read", GRANT), Decision(False, "verb", "run.read", GRANT)
    assert (bool(yes), bool(no)) == (True, False)
    assert (yes.actor, Decision(False, "form", "").actor) == ("ada", "unknown")
    assert yes.unwrap() is GRANT
    with pytest.raises(Denied) as denied:
        no.unwrap()
    assert (denied.value.code, denied.value.message) == (
        "capability.denied",
        (
            "run.read: expected a token that covers this, got that of 'ada' (operator): verb "
            "\u2014 swarm token verbs"
        ),
    )
    assert denied.value.values == {"verb": "run.read", "reason": "verb"}
    for outsider in (
        Decision(False, "tag", "run.read", None, outsider=True),
        Decision(False, "tag", "run.read", GRANT, outsider=True),
        Decision(False, "tag", "run.read", None),
        Decision(True, "ok", "run.read", None),
    ):
        with pytest.raises(Denied) as told:
            outsider.unwrap()
        assert (told.value.code, told.value.message) == (
            "capability.unauthenticated", "expected a token that holds, got none",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({}, "ok"),
        ({"aud": "h_" + "0" * 24}, "audience"),
        ({"role": "worker", "verbs": ["step.take"]}, "purpose"),
        ({"exp": NOW_S}, "expired"),
        ({"iat": NOW_S + SKEW_S + 1}, "not_yet"),
        ({"exp": NOW_S + 10**7}, "lifetime"),
        ({"more": 1}, "said.members"),
        ({"uses": 0}, "said.uses"),
    ],
)
def test_a_token_that_holds_is_looked_at_for_what_it_says(
    claims: dict[str, Any], reason: str
) -> None:
    desk = Desk()
    found = desk.guard.admit(desk.forged(**claims))
    assert (found.allowed, found.reason, found.outsider) == (reason == "ok", reason, reason != "ok")
    assert (found.grant is None) == (reason != "ok")


def test_a_token_of_another_purpose_or_key_holds_nothing_here() -> None:
    desk = Desk()
    token = desk.mint()
    assert desk.guard.admit(token, DESK).reason == "ok"
    assert desk.guard.admit(token, WORK).reason == "tag"
    assert desk.guard.admit(token, ()).reason == "tag"
    assert desk.guard.admit("nonsense").reason == "form"


def test_an_act_needs_no_level_below_it_unless_it_says_so() -> None:
    desk = Desk()
    token = desk.mint()
    assert desk.guard.look(token, "run.read").reason == "ok"
    assert desk.guard.check(token, "run.read").decision.reason == "ok"
    assert desk.guard.look(token, "run.read", depth=1).reason == "spawn_depth"
    grant = desk.guard.admit(token).unwrap()
    assert covers(grant, "run.read", TABLE).reason == "ok"
    assert covers(grant, "run.read", TABLE, depth=1).reason == "spawn_depth"
    assert desk.guard.check(token, "run.read", depth=1).decision.reason == "spawn_depth"
    assert desk.guard.admit(desk.signed(desk.claims(), kid="other")).reason == "tag"
    unread = desk.with_caveat(token, {"uses": -1})
    assert desk.guard.admit(unread).reason == "said.uses"


def test_a_caveat_ends_a_token_at_its_second() -> None:
    desk = Desk()
    token = narrow(desk.mint(), Caveat(expires_s=NOW_S + 5))
    for now_s, reason in ((NOW_S + 4.9, "ok"), (NOW_S + 5, "expired")):
        desk.now_s = now_s
        assert desk.guard.admit(token).reason == reason
        grant = Grant("ada", "operator", None, expires_s=NOW_S + 5)
        assert desk.guard.look(grant, "run.read").reason == reason


REVOKED: list[tuple[str, str, bool]] = [
    ("subject", "ada", True), ("subject", "bob", False), ("all", "", True), ("all", "x", False),
    ("run", "r_1", True), ("run", "r_2", False),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "name", "ends"), REVOKED)
def test_what_is_revoked_ends_what_was_minted_before(kind: Any, name: str, ends: bool) -> None:
    desk = Desk()
    before = desk.forged(run="r_1")
    desk.ledger.revoke(kind, name, 1, NOW_S + 1000)
    assert desk.guard.admit(before).reason == ("revoked" if ends else "ok")
    assert desk.guard.admit(desk.forged(run="r_1", epoch=1)).reason == "ok"
    assert desk.guard.admit(desk.forged()).reason == ("revoked" if ends and kind != "run" else "ok")


def test_one_token_is_revoked_by_its_fingerprint() -> None:
    desk = Desk()
    one, other = desk.mint(), desk.mint()
    found = desk.guard.admit(one).grant
    assert found is not None
    assert found.token is not None
    desk.ledger.revoke("token", found.token, 1, NOW_S + 1000)
    assert desk.guard.admit(one).reason == "revoked"
    assert desk.guard.admit(other).reason == "ok"


# -- uses ----------------------------------------------------------------------------------


def test_a_use_is_reserved_spent_or_given_back() -> None:
    desk = Desk()
    token = desk.mint(uses=2, ttl_s=600)

    def asked() -> Any:
        return desk.guard.check(token, "run.read", purposes=ALL)

    first, second, third = asked(), asked(), asked()
    assert [bool(one) for one in (first, second, third)] == [True, True, False]
    assert third.decision.reason == "used"
    assert (third.counters, third.until_s) == ((), 0)
    assert first.until_s == NOW_S + 600 + SKEW_S
    second.release()
    again = asked()
    assert bool(again)
    first.spend()
    again.spend()
    assert not asked()
    assert desk.ledger.used(first.counters[0]) == 2
    assert desk.guard._reserved == {}  # pyright: ignore[reportPrivateUsage]


def test_of_two_counts_the_lower_is_the_one_that_holds() -> None:
    desk = Desk()
    token = narrow(desk.mint(uses=5), Caveat(uses=1))
    passed = desk.guard.check(token, "run.read", purposes=ALL)
    assert len(passed.counters) == 2
    passed.spend()
    assert not desk.guard.check(token, "run.read", purposes=ALL)
    free = desk.guard.check(desk.mint(), "run.read", purposes=ALL)
    assert (bool(free), free.counters, free.until_s) == (True, (), 0)
    free.spend()
    free.release()


# -- time ----------------------------------------------------------------------------------


def test_time_goes_back_by_a_minute_and_no_more_and_is_written_down_now_and_then() -> None:
    desk = Desk()
    noted: list[int] = []
    real = desk.ledger.note_time

    def note(time_s: int) -> None:
        noted.append(time_s)
        real(time_s)

    desk.ledger.note_time = note  # pyright: ignore[reportAttributeAccessIssue]
    seen: list[float] = []
    for after_s in (0.5, 30.0, 31.5, 61.0, 62.0, 2.0, 1.0, 0.0, -1000.0, 100.0):
        desk.now_s = NOW_S + after_s
        seen.append(desk.guard.now_s() - NOW_S)
    assert seen == [0.5, 30.0, 31.5, 61.0, 62.0, 2.0, 62.0, 62.0, 62.0, 100.0]
    assert noted == [NOW_S, NOW_S + 31, NOW_S + 62, NOW_S + 100]
