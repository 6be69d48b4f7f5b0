"""The layer that lets no secret out, and what counts as one."""

from __future__ import annotations

import random
from typing import Any

import pytest

from flowir import WorkerFailure
from swarm import BlueprintInvalid, Outcome, StepContext
from swarm.middleware.secrets import MASK, Secrets
from swarm.testing import FakeOperators
from tests.swarm.layered import Bench, Flaky

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


KEY = "sk-" + "0123456789abcdefghij"


async def leak(value: object, context: StepContext) -> Outcome:
    await context.progress(f"logging in with {KEY}")
    await context.part("login", {"password": "p", "user": "ada"})
    return Outcome({"said": f"used {KEY}.", "api_key": 17}, {"header": f"Bearer {'x' * 20}"})


async def leaked(layers: Any) -> tuple[str, Any]:
    bench = Bench(functions={"work": leak})  # type: ignore[dict-item]
    outcome = await bench.run(layers)
    return repr([*bench.events, *bench.parts]), outcome.ctx["out"]


async def test_no_secret_gets_into_events_or_the_context() -> None:
    events, out = await leaked(["redact"])
    assert out == {"said": "used [redacted].", "api_key": "[redacted]"}
    for secret in (KEY, "'p'", "x" * 20):
        assert secret not in events
    assert "'user': 'ada'" in events


async def test_without_it_they_do() -> None:
    events, out = await leaked(None)
    assert KEY in events
    assert out["api_key"] == 17


async def test_a_failure_keeps_its_code_and_loses_its_secrets() -> None:
    failure = WorkerFailure("net.denied", f"denied: {KEY}", True, {"token": "t", "at": 3})
    bench = Bench(functions={"work": Flaky(9, failure)})
    outcome = await bench.run(["redact"])
    assert outcome.error is not None
    assert outcome.error["cause_code"] == "net.denied"
    assert outcome.error["data"] == {"token": "[redacted]", "at": 3}
    assert KEY not in repr(bench.events)


async def test_who_looks_at_the_work_is_shown_no_secret_over_the_link() -> None:
    """As in a question: an order leaves the house too. Who does the work needs its input."""
    replies = {"decision": "override", "value": "done"}, {"veto": False}, "done"
    seats = dict(zip(("ada", "lead", "bob"), replies, strict=True))
    operators = FakeOperators({seat: lambda _, r=reply: r for seat, reply in seats.items()})  # type: ignore[misc]
    failure = WorkerFailure("net.denied", f"denied: {KEY}", True)
    bench = Bench(functions={"work": Flaky(9, failure)}, operators=operators)
    layers = ["redact", {"use": "senior", "to": "ada"}, {"use": "main_ai", "to": "lead"}]
    given = {"password": "p", "n": 1}
    await bench.run(layers, input=given)
    assert [order.moment for _, order in operators.orders] == ["before", "advise", "after"]
    for _, order in operators.orders:
        assert order.body["input"] == {"password": MASK, "n": 1}
        assert KEY not in repr(order)
    assert operators.orders[1][1].body["failure"]["message"] == "denied: [redacted]"
    await bench.run(["redact", {"use": "delegate", "to": "bob"}], input=given)
    assert operators.orders[-1][1].body == given


async def test_names_and_patterns_can_be_added() -> None:
    async def work(value: object) -> object:
        return {"Pass-Port": "P1", "text": "badge 12345"}

    bench = Bench(functions={"work": work})
    bench.base = [{"use": "redact", "patterns": [r"\b\d{5}\b"]}]
    outcome = await bench.run([{"use": "redact", "keys": ["passport"]}])
    assert outcome.ctx["out"] == {"Pass-Port": "[redacted]", "text": "badge [redacted]"}


async def test_patterns_are_the_hosts() -> None:
    bench = Bench(functions={"work": Flaky(0)})
    with pytest.raises(BlueprintInvalid, match="expected patterns from the host alone"):
        await bench.run([{"use": "redact", "patterns": ["(a+)+$"]}])


SECRETS = (
    "sk-" + "ant-0123456789abcdefghij",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "github_pat_11ABCDEFG0abcdefghijkl",
    "xoxb-123456789012-abcdefghij",
    "AKIAIOSFODNN7EXAMPLE",
    "AIza" + "B" * 35,
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
    "Bearer abcdefghijklmnop",
    "-----BEGIN PRIVATE KEY-----\nMIIB\n-----END PRIVATE KEY-----",
    "postgres://ada:hunter2@",
)
HARMLESS = (
    "sk-short",
    "ghp_",
    "a bearer of good news",
    "AKIA is a prefix",
    "https://example.org/a:b@c",
    "eyJ is how they begin",
    "-----BEGIN PUBLIC KEY-----",
    "desk-0123456789abcdefghij",
)


@pytest.mark.parametrize("secret", SECRETS)
def test_what_looks_like_a_secret_is_one(secret: str) -> None:
    assert Secrets().hidden(["before " + secret + " behind"]) == ["before [redacted] behind"]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_one_is_not(text: str) -> None:
    value = {"a": [f"before {text} behind"]}
    assert Secrets().hidden(value) is value


def test_a_hostile_text_takes_no_time_beyond_its_length() -> None:
    """Each of these is a beginning that never ends; the patterns are bounded."""
    for begin in ("eyJ-", "sk-", "-----BEGIN PRIVATE KEY-----", "a://b", "ghp_a", "Bearer "):
        Secrets().text(begin * (200_000 // len(begin)))


# How long each may be at the least and at the most, in letters behind its beginning.
LENGTHS: list[tuple[str, str, str, int, int]] = [
    ("sk-", "a", "", 16, 200),
    *((f"gh{letter}_", "a", "", 20, 255) for letter in "pousr"),
    ("github_pat_", "_", "", 20, 255),
    *((f"xox{letter}-", "-", "", 10, 200) for letter in "abprs"),
    ("AIza", "-", "", 35, 35),
    ("Bearer ", ".", "", 12, 2000),
    ("bEARER ", "~", "", 12, 2000),
    ("eyJ", "a", "." + "b" * 8 + "." + "c" * 8, 8, 300),
    ("eyJ" + "a" * 8 + ".", "b", "." + "c" * 8, 8, 4000),
    ("eyJ" + "a" * 8 + "." + "b" * 8 + ".", "c", "", 8, 1000),
    ("a", "b", "://c:d@", 1, 20),
    ("ab://", "c", ":d@", 1, 100),
    ("ab://c:", "d", "@", 1, 200),
    ("-----BEGIN ", "A", "PRIVATE KEY-----x-----END A-----", 0, 30),
    ("-----BEGIN PRIVATE KEY-----", "x", "-----END A-----", 0, 8000),
    ("-----BEGIN PRIVATE KEY-----x-----END ", "A", "-----", 0, 30),
]


@pytest.mark.parametrize(("begin", "letter", "end", "least", "most"), LENGTHS)
def test_a_secret_has_a_least_and_a_most_length(
    begin: str, letter: str, end: str, least: int, most: int
) -> None:
    text = Secrets().text
    for count in {least, least + 1, most}:
        if least <= count <= most:
            assert text(f" {begin}{letter * count}{end} ") == " [redacted] "
    if least:
        few = f" {begin}{letter * (least - 1)}{end} "
        assert text(few) == few
    many = f" {begin}{letter * (most + 1)}{end} "
    assert text(many) == (many if end else f" [redacted]{letter} ")


@pytest.mark.parametrize("begin", ["AKIA", "ASIA"])
def test_a_key_of_a_fixed_length_has_that_length(begin: str) -> None:
    text = Secrets().text
    assert text(f"{begin}{'7' * 16}") == "[redacted]"
    for other in (f"{begin}{'7' * 15}", f"{begin}{'7' * 17}", f"x{begin}{'7' * 16}"):
        assert text(other) == other


NAMES = [
    "access_key",
    "access_token",
    "api_key",
    "authorization",
    "client_secret",
    "cookie",
    "credentials",
    "password",
    "passphrase",
    "passwd",
    "private_key",
    "pwd",
    "refresh_token",
    "secret",
    "secret_key",
    "session_token",
    "set_cookie",
    "token",
]


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_under_a_name_is_a_secret(name: str) -> None:
    for written in (name, name.replace("_", "-"), name.replace("_", ""), name.upper()):
        for value in ("short", 0, False, {}, []):
            assert Secrets().hidden({written: value}) == {written: "[redacted]"}
        nothing = {written: None, f"{written}s_of_mine": 1}
        assert Secrets().hidden(nothing) is nothing


def _plainly(secrets: Secrets, names: set[str], value: Any) -> Any:
    """Hide as the layer does, with none of its short cuts."""
    if isinstance(value, str):
        return secrets.text(value)
    if isinstance(value, list):
        return [_plainly(secrets, names, item) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        name: MASK if name in names and member is not None else _plainly(secrets, names, member)
        for name, member in value.items()
    }


@pytest.mark.parametrize("own", [(), (r"\bb\d",)])
def test_whatever_it_is_in_it_is_hidden_and_what_has_none_stays_itself(own: Any) -> None:
    chance, secrets = random.Random(5), Secrets(["mine"], own)  # noqa: S311 - repeatable
    names = {"mine", "pwd", "ToKen"}
    leaves = [None, True, 0, 1.5, "", "short", "b1", "a" * 30, KEY, f"see {KEY} there", "ab://c:d@"]

    def made(depth: int) -> Any:
        kind = chance.random()
        if depth == 0 or kind < 0.4:
            return chance.choice(leaves)
        if kind < 0.7:
            return [made(depth - 1) for _ in range(chance.randrange(4))]
        some = chance.sample(["mine", "pwd", "ToKen", "a", "b", "c"], chance.randrange(4))
        return {name: made(depth - 1) for name in some}

    kept = 0
    for _ in range(1500):
        value = made(4)
        before, hidden = repr(value), secrets.hidden(value)
        assert hidden == _plainly(secrets, names, value)
        assert repr(value) == before
        if hidden == value:
            assert hidden is value
            kept += 1
    assert 100 < kept < 1400
