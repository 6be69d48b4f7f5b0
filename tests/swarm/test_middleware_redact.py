"""The layer that lets no secret out, and what counts as one."""

from __future__ import annotations

from typing import Any

import pytest

from flowir import WorkerFailure
from swarm import BlueprintInvalid, Outcome, StepContext
from swarm.middleware.secrets import Secrets
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
