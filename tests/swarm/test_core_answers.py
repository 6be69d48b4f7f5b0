"""What a worker did, in the one form that the machine is told: every way, kind by kind."""

from __future__ import annotations

import asyncio  # noqa: TID251 - what its workers may do
import logging
import sys
import threading
from hashlib import sha256
from typing import Any

import anyio
import pytest

from flowir.effects import Admitted, Failure, Success
from flowir.errors import WorkerFailure
from flowir.limits import DEFAULT_LIMITS
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.contract import Contract
from swarm.core.answers import Answer, admitted, ask, kept, timed_out, worker_error
from swarm.ports.worker import Call, CostlyFailure, KeptOutcome, Outcome, StepLink, Usage, Worker
from swarm.testing import RecordedLink

pytestmark = pytest.mark.anyio

COST = Usage(5, 0.5)
TEXT_3 = {"$ref": f"sha256:{sha256(b'abc').hexdigest()}", "size": 3, "type": "text"}
BYTES_3 = {**TEXT_3, "type": "bytes"}


def call(input: Any = None) -> Call:
    return Call("r", "$", "ada", input)


def contract(**settings: Any) -> Contract:
    return Contract(AgentSpec("ada", "lua", settings))


ANY, WORDS = contract(output_schema=True), contract(verdict=["PASS", "BLOCKED"])


def said(value: Any) -> Worker:
    """Return a worker that raises *value*, or returns it."""

    async def worker(call: Call, link: StepLink) -> Any:
        if isinstance(value, BaseException):
            raise value
        return value

    return worker


async def answer(value: Any, *promise: Contract | None, **more: Any) -> Answer:
    return await ask(said(value), call(), RecordedLink(), DEFAULT_LIMITS, *promise, **more)


def kept_as(value: Any, size: int = 7, depth: int = 3) -> KeptOutcome:
    made = KeptOutcome(value, {}, COST)
    made.size, made.depth = size, depth
    return made


# -- answers ---------------------------------------------------------------------------------


@pytest.mark.parametrize("promise", [None, ANY], ids=["no contract", "a contract"])
@pytest.mark.parametrize(
    ("value", "size", "depth"),
    [(None, 8, 0), ("abc", 5, 0), ([1, {"a": []}], 4 + 8 + 7 + 2, 3)],
)
async def test_an_answer_is_admitted_and_measured(
    value: Any, size: int, depth: int, promise: Contract | None
) -> None:
    told = await answer(Outcome(value, usage=COST), promise)
    assert type(told.outcome) is Admitted
    assert told == (Admitted(value, size, depth), {}, COST, ())


@pytest.mark.parametrize("promise", [None, ANY], ids=["no contract", "a contract"])
async def test_what_was_kept_already_is_taken_as_it_is(promise: Contract | None) -> None:
    odd: Any = {1, 2}  # the door would refuse it
    assert await answer(kept_as(odd), promise) == (Admitted(odd, 7, 3), {}, COST, ())


@pytest.mark.parametrize("promise", [None, ANY], ids=["no contract", "a contract"])
@pytest.mark.parametrize("data", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
async def test_bytes_are_an_answer_only_of_who_declares_data(
    data: Any, promise: Contract | None
) -> None:
    told = await answer(Outcome(data, usage=COST), promise, apart=True)
    assert told == (Success(BYTES_3), {}, COST, (b"abc",))
    assert type(told.bodies[0]) is bytes
    refused = await answer(Outcome(data), promise)
    sentence = "the answer of 'ada': expected a JSON value, got a bytes"
    assert refused.outcome == Failure("malformed", sentence, True, None)


@pytest.mark.parametrize("promise", [None, ANY], ids=["no contract", "a contract"])
async def test_what_is_declared_as_data_is_answered_as_a_reference(
    promise: Contract | None,
) -> None:
    told = await answer(Outcome("abc", usage=COST), promise, apart=True)
    assert told == (Success(TEXT_3), {}, COST, (b"abc",))
    told = await answer(kept_as("abc"), promise, apart=True)
    assert told == (Success(TEXT_3), {}, COST, (b"abc",))


@pytest.mark.parametrize("promise", [None, ANY], ids=["no contract", "a contract"])
async def test_parts_are_references_beside_the_answer(promise: Contract | None) -> None:
    parts = {"a": "abc", "b": memoryview(b"abc")}
    told = await answer(Outcome([1], parts, COST), promise)
    assert told == (Success([1]), {"a": TEXT_3, "b": BYTES_3}, COST, (b"abc", b"abc"))
    whole = await answer(Outcome("abc", {"a": b"x"}), promise, apart=True)
    assert whole.outcome == Success(TEXT_3)
    assert whole.bodies == (b"x", b"abc")


@pytest.mark.parametrize("promise", [None, ANY], ids=["no contract", "a contract"])
@pytest.mark.parametrize(
    ("outcome", "code", "sentence"),
    [
        ("abc", "worker.error", "TypeError: the worker of 'ada' returned 'abc', not an Outcome"),
        (None, "worker.error", "TypeError: the worker of 'ada' returned null, not an Outcome"),
        (Outcome({1}), "malformed", "the answer of 'ada': expected a JSON value, got a set"),
        (
            Outcome([{1}]),
            "malformed",
            "the answer of 'ada' at [0]: expected a JSON value, got a set",
        ),
        (
            Outcome(1, {"p": {1}}),
            "malformed",
            "the answer of 'ada' at parts.p: expected a JSON value, got a set",
        ),
        (
            Outcome(1, {3: 1}),  # type: ignore[dict-item]
            "malformed",
            "the answer of 'ada' at parts: expected string keys, got 3",
        ),
        (
            Outcome("\ud800", {"p": 1}),
            "malformed",
            "the answer of 'ada': expected text, got a lone surrogate at 0 of a string",
        ),
    ],
)
async def test_what_is_no_answer_fails_for_good(
    outcome: Any, code: str, sentence: str, promise: Contract | None
) -> None:
    told = await answer(outcome, promise)
    assert isinstance(told.outcome, Failure)
    assert told.outcome.message.startswith(sentence)
    assert (told.outcome.code, told.outcome.permanent) == (code, True)
    assert told[1:] == ({}, Usage(), ())


async def test_an_outcome_is_checked_once() -> None:
    once = admitted(Outcome([1], {"p": b"x"}, COST), "ada", DEFAULT_LIMITS)
    assert (type(once), once, once.size, once.depth) == (
        KeptOutcome, ([1], {"p": b"x"}, COST), 3 + 8, 1,
    )  # fmt: skip
    plain = admitted(Outcome([1], usage=COST), "ada", DEFAULT_LIMITS)
    assert (type(plain), plain, plain.size, plain.depth) == (KeptOutcome, ([1], {}, COST), 11, 1)
    raw = admitted(Outcome(b"x"), "ada", DEFAULT_LIMITS)
    assert (raw.value, raw.size, raw.depth) == (b"x", 0, 0)
    for outcome in (once, plain, raw):
        assert admitted(outcome, "ada", DEFAULT_LIMITS) is outcome
        assert await kept(outcome, "ada", DEFAULT_LIMITS, None) is outcome
        assert await kept(outcome, "ada", DEFAULT_LIMITS, ANY) is outcome


# -- contracts ---------------------------------------------------------------------------------


async def test_an_answer_that_breaks_a_promise_costs_what_it_cost() -> None:
    told = await answer(Outcome("MAYBE", usage=COST), WORDS)
    sentence = "the answer of 'ada': expected 'BLOCKED' or 'PASS', got 'MAYBE'"
    assert told == (Failure("agent.verdict", sentence, False, {"at": "$"}), {}, COST, ())
    with pytest.raises(CostlyFailure, match=r"^the answer of 'ada': expected") as caught:
        await kept(Outcome("MAYBE", usage=COST), "ada", DEFAULT_LIMITS, WORDS)
    assert caught.value.usage == COST


async def test_an_input_that_breaks_a_promise_reaches_nobody() -> None:
    asked: list[Any] = []

    async def worker(call: Call, link: Any) -> Outcome:
        asked.append(call.input)
        return Outcome(None)

    promise = contract(input_schema={"maxLength": 3})
    for word in ("abc", "abcd"):
        told = await ask(worker, call(word), RecordedLink(), DEFAULT_LIMITS, promise)
    sentence = "the input of 'ada': expected a string of at most 3 characters, got 'abcd'"
    assert told == (Failure("agent.input", sentence, True, {"at": "$"}), {}, Usage(), ())
    assert asked == ["abc"]


@pytest.mark.parametrize(
    ("length", "apart"), [(0, False), (16 * 1024 - 2, False), (16 * 1024 - 1, True)]
)
async def test_what_takes_long_to_judge_is_judged_beside_the_loop(
    length: int, apart: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A text is measured with its quotes."""
    threads: list[threading.Thread] = []

    def noted(self: Contract, value: Any) -> None:
        threads.append(threading.current_thread())

    monkeypatch.setattr(Contract, "answer", noted)
    await answer(Outcome("x" * length), ANY)
    await answer(Outcome(b"x" * length), ANY, apart=True)
    here = threading.current_thread()
    assert [thread is not here for thread in threads] == [apart, False]


async def test_a_judgement_beside_the_loop_holds_up_no_cancellation(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    began, ends, done = threading.Event(), threading.Event(), list[bool]()

    def slow(self: Contract, value: Any) -> None:
        began.set()
        ends.wait(10)
        done.append(True)

    monkeypatch.setattr(Contract, "answer", slow)
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(answer, Outcome("x" * 20_000), ANY)
            await anyio.to_thread.run_sync(began.wait, 10)
            tasks.cancel_scope.cancel()
        assert done == []
    finally:
        ends.set()


# -- failures ----------------------------------------------------------------------------------


@pytest.mark.parametrize("permanent", [True, False])
async def test_a_failure_is_told_as_it_was_raised(permanent: bool) -> None:
    told = await answer(WorkerFailure("my.code", "why", permanent, {"a": 1}))
    assert told == (Failure("my.code", "why", permanent, {"a": 1}), {}, Usage(), ())
    told = await answer(CostlyFailure("my.code", "why", permanent, [1], usage=COST))
    assert told == (Failure("my.code", "why", permanent, [1]), {}, COST, ())


async def test_data_of_a_failure_that_is_not_json_is_left_out_and_said() -> None:
    told = await answer(WorkerFailure("my.code", "why", False, {1}))
    sentence = "why (its data was refused: $: expected a JSON value, got a set — write a list)"
    assert told.outcome == Failure("my.code", sentence, False, None)


@pytest.mark.parametrize("length", [1_999, 2_000, 2_001, 5_000])
async def test_a_message_is_one_of_at_most_2000_characters(length: int) -> None:
    whole = "é" * length
    cut = whole if length <= 2_000 else whole[:1_999] + "…"
    told = await answer(WorkerFailure("my.code", whole))
    assert told.outcome == Failure("my.code", cut)
    odd = await answer(WorkerFailure("my.code", "\ud800!"))
    assert odd.outcome == Failure("my.code", "?!")


async def test_whatever_a_worker_raises_is_a_failure_of_its_step() -> None:
    told = await answer(ValueError("odd"))
    assert told == (Failure("worker.error", "ValueError: odd"), {}, Usage(), ())
    made = worker_error(KeyError("x" * 3_000))
    assert (made.code, len(made.message), made.permanent) == ("worker.error", 2_000, False)


def test_a_worker_that_takes_too_long_is_told_with_its_time() -> None:
    expected = Failure("step.timeout", "'ada': no answer within 1.5 s", False)
    assert timed_out("ada", 1.5) == (expected, {}, Usage(), ())


# -- what is logged ----------------------------------------------------------------------------


def caused(code: str) -> WorkerFailure:
    failure = WorkerFailure(code, "said")
    try:
        theirs()
    except ValueError as error:
        failure.__cause__ = error
    return failure


def theirs() -> None:
    raise ValueError("odd")


@pytest.mark.parametrize(
    ("raised", "told"),
    [
        (ValueError("odd"), True),
        (caused("worker.error"), True),
        (caused("layer.failed"), True),
        (caused("my.code"), False),
        (WorkerFailure("worker.error", "said"), False),
    ],
)
async def test_an_exception_of_somebodys_code_is_logged_and_a_failure_is_not(
    raised: Exception, told: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "swarm"):
        await answer(raised)
    expected = "run r, step $, attempt 1: the worker of 'ada' raised"
    assert [record.getMessage() for record in caplog.records] == [expected] * told


async def test_a_traceback_begins_with_the_code_that_is_not_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def worker(call: Call, link: Any) -> Outcome:
        theirs()
        return Outcome(None)

    await ask(worker, call(), RecordedLink(), DEFAULT_LIMITS)
    info = caplog.records[0].exc_info
    assert info is not None
    assert info[2] is not None
    frames = [info[2].tb_frame.f_code.co_name]
    rest = info[2].tb_next
    while rest is not None:
        frames.append(rest.tb_frame.f_code.co_name)
        rest = rest.tb_next
    assert frames == ["worker", "theirs"]


async def test_a_traceback_of_our_own_frames_alone_is_whole(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await ask(None, call(), RecordedLink(), DEFAULT_LIMITS)  # type: ignore[arg-type]
    info = caplog.records[0].exc_info
    assert info is not None
    assert info[2] is not None
    assert info[2].tb_frame.f_code.co_name == "ask"
    assert info[2].tb_frame.f_globals["__name__"] == "swarm.core.answers"
    assert sys.exc_info() == (None, None, None)


# -- what would end more than a step ---------------------------------------------------------


class Quit(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (Quit("enough"), "Quit: enough"),
        (SystemExit(3), "SystemExit: 3"),
        (BaseExceptionGroup("all", [Quit("a"), KeyError("b")]), "BaseExceptionGroup: all (2 sub"),
    ],
)
async def test_what_is_no_exception_is_a_failure_too(raised: BaseException, message: str) -> None:
    told = (await answer(raised)).outcome
    assert isinstance(told, Failure)
    assert (told.code, told.message[: len(message)]) == ("worker.error", message)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_that_nobody_asked_for_is_a_failure(anyio_backend: str) -> None:
    """Whoever waits for a task that was cancelled gets one, on asyncio."""

    async def worker(call: Call, link: StepLink) -> Outcome:
        other = asyncio.create_task(asyncio.sleep(60))
        other.cancel()
        await other
        return Outcome(None)

    told = await ask(worker, call(), RecordedLink(), DEFAULT_LIMITS)
    assert told.outcome == Failure("worker.error", "CancelledError: ")


@pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
async def test_an_interrupt_is_no_failure(kind: type[BaseException]) -> None:
    with pytest.raises(kind):
        await answer(kind())
    with pytest.raises(kind):
        await answer(BaseExceptionGroup("all", [KeyError("a"), BaseExceptionGroup("b", [kind()])]))


async def test_a_cancellation_that_was_asked_for_is_none_whatever_is_raised_beside_it() -> None:
    """On trio both come in one group; what is left of that would break the run."""

    async def worker(call: Call, link: StepLink) -> Outcome:
        async def fail() -> None:
            try:
                await anyio.sleep_forever()
            finally:
                raise KeyError("on the way out")

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(fail)
            tasks.start_soon(anyio.sleep_forever)
            await anyio.sleep_forever()
        return Outcome(None)

    told: list[Answer] = []
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(anyio.sleep_forever)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
            told.append(await ask(worker, call(), RecordedLink(), DEFAULT_LIMITS))
    assert all(isinstance(one.outcome, Failure) for one in told)
