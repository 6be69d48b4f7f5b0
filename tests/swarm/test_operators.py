"""Operators on real lines: a host, uvicorn, and the client, in one process."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from flowir.errors import WorkerFailure
from swarm import BlueprintInvalid, Denied, Host, Refused, RunFailed
from swarm.operators import Became, Bounds, Halted, Operator, Operators, Task, connect, server
from swarm.operators.cases import Tell
from swarm.operators.frames import OrderBody, Result, Settled
from swarm.testing import FakeOperators
from tests.swarm.operating import BOUNDS, House, free_port, house, step, until
from tests.swarm.raw_line import TEXT, RawLine, frame, request

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"  # uvicorn and the client of websockets know no other


def answering(one: House, name: str = "ada", value: Any = "PASS", **settings: Any) -> Operator:
    operator = one.operator(name, **settings)

    @operator.handler
    async def answer(task: Task) -> Any:
        return value(task) if callable(value) else value

    return operator


async def test_an_operator_does_a_step_and_says_how_far_he_is() -> None:
    async with house() as one:
        operator = one.operator()

        @operator.handler
        async def review(task: Task) -> Any:
            await task.progress("reading")
            await task.part("notes", {"words": 3})
            task.usage = task.usage.model_copy(update={"tokens": 7})
            return {"verdict": "PASS", "said": task.input}

        async with operator.running():
            blueprint = await one.load({"verdict": ["PASS", "BLOCKED"]})
            run = await one.host.start(blueprint, {"given": "draft"})
            assert (await run.result())["out"] == {"verdict": "PASS", "said": "draft"}
            events = [event async for event in run.events()]
        assert [e["text"] for e in events if e["kind"] == "step.progress"] == ["reading"]
        assert [e["name"] for e in events if e["kind"] == "step.part"] == ["notes"]


async def test_an_order_says_what_is_to_be_done() -> None:
    async with house() as one:
        seen: list[Any] = []

        def note(task: Task) -> str:
            seen.append(task.order)
            return "PASS"

        operator = answering(one, value=note)
        async with operator.running():
            agent = {"verdict": ["PASS"], "prompt": "read it", "timeout_s": 60, "model": "large"}
            await one.ask("draft", agent)
        (order,) = seen
        assert (order.prompt, order.input, order.agent) == ("read it", "draft", "reviewer")
        assert order.key == f"{order.run}/{order.step}/{order.attempt}"
        assert order.answer_schema == {"enum": ["PASS"]}
        assert order.told["model"] == "large"
        assert 50 < order.deadline_s <= 60
        grant = one.host.tokens.guard.admit(order.token, {"worker"}).unwrap()
        assert (grant.run, grant.step, grant.attempt) == (order.run, order.step, order.attempt)


@pytest.mark.parametrize(
    ("raises", "code"),
    [
        (WorkerFailure("paper.empty", "nothing on it", True), "paper.empty"),
        (ValueError("what"), "worker.error"),
    ],
)
async def test_a_handler_that_fails_fails_the_step(raises: Exception, code: str) -> None:
    async with house() as one:
        operator = one.operator()

        @operator.handler
        async def fail(task: Task) -> Any:
            raise raises

        async with operator.running():
            with pytest.raises(RunFailed) as caught:
                await one.ask()
        assert caught.value.error["cause_code"] == code


async def test_who_ends_early_gives_what_he_has() -> None:
    async with house() as one:
        operator = one.operator()

        @operator.handler
        async def half(task: Task) -> Any:
            raise Halted({"half": True}, "enough")

        async with operator.running():
            run = await one.host.start(await one.load(), {"given": 1})
            assert (await run.result())["out"] == {"half": True}
            events = [event async for event in run.events()]
        assert [e["name"] for e in events if e["kind"] == "step.part"] == ["halted"]


async def test_an_operator_asks_a_person_through_the_host() -> None:
    async with house() as one:
        operator = one.operator()

        @operator.handler
        async def ask(task: Task) -> Any:
            return {"said": await task.ask("is this ours?", schema={"type": "boolean"})}

        async with operator.running():
            run = await one.host.start(await one.load(), {"given": 1})
            async for event in run.events():
                if event["kind"] == "question.asked":
                    break
            (question,) = await run.questions()
            await run.answer(question.id, True)
            assert (await run.result())["out"] == {"said": True}


async def test_a_handler_that_is_not_async_and_one_of_a_seat() -> None:
    async with house() as one:
        operator = one.operator(seats=["reviewer", "chief"])

        @operator.handler
        def plain(task: Task) -> Any:
            return "plain"

        @operator.handler(seat="chief")
        async def chief(task: Task) -> Any:
            return "chief"

        async with operator.running():
            assert await one.ask() == "plain"
            assert await one.ask(agent={"seat": "chief"}) == "chief"


async def test_several_orders_go_on_at_a_time_and_no_more_than_the_capacity() -> None:
    async with house() as one:
        operator, now, most = one.operator(capacity=3), [0], [0]

        @operator.handler
        async def work(task: Task) -> Any:
            now[0] += 1
            most[0] = max(most[0], now[0])
            await anyio.sleep(0.05)
            now[0] -= 1
            return "done"

        async with operator.running(), anyio.create_task_group() as tasks:
            for _ in range(9):
                tasks.start_soon(one.ask)
        assert most[0] == 3


async def test_a_cancelled_run_reaches_the_handler() -> None:
    async with house() as one:
        operator, states = one.operator(), list[str]()

        @operator.handler
        async def work(task: Task) -> Any:
            states.append("begun")
            try:
                await anyio.sleep_forever()
            finally:
                states.append("stopped")

        async with operator.running():
            run = await one.host.start(await one.load(), {"given": 1})
            await until(lambda: states == ["begun"])
            await run.cancel("enough")
            assert (await run.wait()).status == "cancelled"
            await until(lambda: states == ["begun", "stopped"])
            assert operator.hands.holding == {}


async def test_an_operator_hears_what_became_of_orders_and_answers() -> None:
    heard: list[str] = []
    begun = anyio.Event()
    async with house() as one:
        operator = one.operator()
        operator.hears(lambda ending: heard.append(f"{ending.how}: {ending.reason}"))

        @operator.handler
        async def answer(task: Task) -> Any:
            if task.input == "slow":
                begun.set()
                await anyio.sleep_forever()
            return task.input

        async with operator.running():
            assert await one.ask("quick") == "quick"
            await until(lambda: heard == ["taken: "])
            run = await one.host.start(await one.load(), {"given": "slow"})
            await begun.wait()
            await run.cancel("enough")
            await until(lambda: heard[1:] == ["cancelled: the host does not need it any more"])
            # Such an answer crosses the cancellation on the line: this is what comes back.
            for how in ("duplicate", "stale"):
                said = Settled(key=f"{run.id}/$/1", outcome=how)
                one.operators.desk.acts += [Tell(at, said) for at in one.operators.sessions]
            one.operators.carry()
            await until(lambda: heard[2:] == ["duplicate: ", "stale: "])


async def test_a_timeout_takes_the_order_back() -> None:
    async with house() as one:
        operator, stopped = one.operator(), anyio.Event()

        @operator.handler
        async def work(task: Task) -> Any:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()

        async with operator.running():
            with pytest.raises(RunFailed, match="no answer within"):
                await one.ask(agent={"timeout_s": 0.2})
            with anyio.fail_after(10):
                await stopped.wait()


async def test_offers_are_taken_or_not() -> None:
    async with house() as one:
        picky, other = answering(one, "ada", "ada", takes="offer"), answering(one, "bob", "bob")

        def easy(order: OrderBody) -> bool:
            return order.input == "easy"

        picky.accepts(easy)
        async with picky.running():
            await picky.welcomed()
            assert await one.ask("easy") == "ada"
            with pytest.raises(RunFailed, match="declined"):
                await one.ask("hard")
            async with other.running():
                await other.welcomed()
                assert await one.ask("hard") == "bob"


async def test_who_raises_over_offers_or_news_goes_on_being_an_operator(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with house() as one:
        operator = answering(one, "ada", "done", takes="offer")

        def broken(order: OrderBody) -> bool:
            return 1 // order.input > 0

        def deaf(became: Became) -> None:
            raise LookupError(became.how)

        operator.accepts(broken)
        operator.hears(deaf)
        async with operator.running():
            await operator.welcomed()
            with pytest.raises(RunFailed, match="declined"):
                await one.ask(0)
            assert await one.ask(1) == "done"
            assert await one.ask(1) == "done"
        told = [record.getMessage() for record in caplog.records if record.exc_info]
        assert sum("who decides over offers raised at order" in said for said in told) == 1
        assert sum("who hears what became of order" in said for said in told) >= 1


# -- seats -------------------------------------------------------------------------------


async def test_a_panel_asks_every_seat_and_the_gravest_verdict_counts() -> None:
    async with house() as one:
        agent = {"seat": ["law", "tax"], "of": "all", "verdict": ["PASS", "BLOCKED"]}
        ada = answering(one, "ada", "BLOCKED", seats=["law"])
        bob = answering(one, "bob", {"verdict": "PASS"}, seats=["tax"])
        async with ada.running(), bob.running():
            assert await one.ask(agent=agent) == {
                "answers": [
                    {"seat": "law", "by": "ada", "value": "BLOCKED"},
                    {"seat": "tax", "by": "bob", "value": {"verdict": "PASS"}},
                ],
                "verdict": "BLOCKED",
            }


async def test_a_panel_fails_with_one_that_fails_and_tells_the_others() -> None:
    async with house() as one:
        agent = {"seat": ["law", "tax"], "of": "all"}
        ada, stopped = one.operator("ada", seats=["law"]), anyio.Event()
        bob = one.operator("bob", seats=["tax"])

        @ada.handler
        async def never(task: Task) -> Any:
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()

        @bob.handler
        async def fails(task: Task) -> Any:
            await until(lambda: bool(ada.hands.holding))
            raise WorkerFailure("tax.wrong", "no")

        async with ada.running(), bob.running():
            with pytest.raises(RunFailed, match=r"no"):
                await one.ask(agent=agent)
            with anyio.fail_after(10):
                await stopped.wait()


async def test_the_first_answer_of_several_seats_counts() -> None:
    async with house() as one:
        agent = {"seat": ["law", "tax"], "of": "first"}
        slow, fast = one.operator("ada", seats=["law"]), answering(one, "bob", "bob", seats=["tax"])

        @slow.handler
        async def never(task: Task) -> Any:
            await anyio.sleep_forever()

        async with slow.running(), fast.running():
            assert await one.ask(agent=agent) == "bob"
            await until(lambda: not slow.hands.holding)


async def test_a_seat_that_is_handed_over_and_taken_moves_the_next_step() -> None:
    async with house() as one:
        ada, bob = answering(one, "ada", "ada"), answering(one, "bob", "bob", seats=["bob"])
        async with ada.running(), bob.running():
            await ada.welcomed()
            await bob.welcomed()
            assert await one.ask() == "ada"
            await ada.handover("reviewer", "bob")
            await until(lambda: "reviewer" in bob.seats)
            assert await one.ask() == "bob"
            await ada.takeover("reviewer")
            await until(lambda: "reviewer" not in bob.seats)
            assert await one.ask() == "ada"


async def test_nobody_there_is_waited_for_and_not_for_ever() -> None:
    async with house() as one:
        agent = {"away_s": 0.1, "on_away": "escalate", "escalate_to": "chief"}
        chief = answering(one, "chief", "chief", seats=["chief"])
        async with chief.running():
            await chief.welcomed()
            assert await one.ask(agent=agent) == "chief"
        with pytest.raises(RunFailed, match="nobody in seat 'reviewer' worked on it for"):
            await one.ask(agent={"away_s": 0.1})


async def test_a_run_waits_while_its_order_does_and_goes_on_when_somebody_comes() -> None:
    async with house() as one:
        run = await one.host.start(await one.load(), {"given": 1})
        await until(lambda: run.status == "waiting")
        async with answering(one).running():
            assert (await run.result())["out"] == "PASS"


async def test_only_those_sit_in_a_seat_whom_the_host_names() -> None:
    operators = Operators(BOUNDS, seats={"reviewer": ["ada"]})
    async with house(operators=operators) as one:
        async with answering(one, "ada").running():
            assert await one.ask() == "PASS"
        with pytest.raises(Denied, match="may not sit in 'reviewer'"):
            await one.operator("bob").run()


async def test_who_comes_back_with_a_lesser_token_does_not_keep_his_seat() -> None:
    async with house() as one:
        whole = one.token("ada")
        less = one.token("ada", verbs=["operator.connect", "step.take", "step.result"])
        lines: list[RawLine] = []
        for token, resumes in ((whole, False), (less, True), (whole, True)):
            line = await RawLine.shake(one.port, request(token))
            resume = {"session": lines[0].session, "last": 0} if resumes else None
            await line.say("hello", name="ada", seats=["reviewer"], resume=resume)
            if token is less:
                assert await line.closed() == 4403
            else:
                welcome = await line.hear("welcome")
                line.session = welcome["session"]
                assert welcome["resumed"] is resumes
            lines.append(line)
            await line.aclose()
            await until(lambda: one.endpoint.lines == 0)


async def test_who_comes_back_after_his_order_was_given_to_another_begins_anew() -> None:
    bounds = Bounds(resume_s=0.2, tick_s=0.05)
    async with house(bounds=bounds) as one:
        line = await RawLine.shake(one.port, request(one.token("ada")))
        await line.hello("ada")
        await one.host.start(await one.load(), {"given": 1})
        await line.hear("assign")
        await line.aclose()
        # The order comes back to the desk by itself, and with it who had it is let go of.
        await until(lambda: not one.operators.desk.members)
        back = await RawLine.shake(one.port, request(one.token("ada")))
        welcome = await back.hello("ada", resume={"session": line.session, "last": 1})
        assert not welcome["resumed"]
        assert (await back.hear("assign"))["order"]["input"] == 1
        await back.aclose()


# -- tokens ------------------------------------------------------------------------------


async def test_a_token_that_does_not_hold_lets_nobody_in() -> None:
    async with house() as one:
        for token, code in (
            ("nonsense", "capability.unauthenticated"),
            (one.token("eve", "observer"), "capability.denied"),
        ):
            with pytest.raises(Denied) as caught:
                await one.operator(token=token).run()
            assert caught.value.code == code


async def test_a_token_for_one_run_gets_the_orders_of_that_run_alone() -> None:
    async with house() as one:
        blueprint = await one.load()
        first = await one.host.start(blueprint, {"given": 1}, run_id="first")
        second = await one.host.start(blueprint, {"given": 2}, run_id="second")
        operator = answering(one, token=one.token("ada", run="second"))
        guard = one.host.tokens.guard
        assert not guard.look(one.token("ada", run="second"), "operator.connect")
        with pytest.raises(Denied):
            await operator.run()
        async with answering(one).running():
            assert (await first.result())["out"] == (await second.result())["out"]


async def test_a_revoked_token_ends_the_line_within_a_second() -> None:
    async with house() as one:
        operator, ended = answering(one), list[Denied]()

        async def run() -> None:
            try:
                await operator.run()
            except Denied as denied:
                ended.append(denied)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await operator.welcomed()
            await one.host.tokens.revoke(subject="ada")
            await until(lambda: one.endpoint.lines == 0 and bool(ended), 2)
        assert ended[0].code == "capability.unauthenticated"


async def test_a_token_that_is_fetched_anew_comes_back() -> None:
    async with house() as one:
        operator = answering(one, token=lambda: one.token("ada"))
        async with operator.running():
            await operator.welcomed()
            await one.host.tokens.revoke(subject="ada")
            await until(lambda: operator.lines == 2)
            assert await one.ask() == "PASS"


# -- hosts that end and begin ------------------------------------------------------------


async def test_a_host_that_begins_anew_gets_the_answer_that_was_given_meanwhile(
    tmp_path: Path,
) -> None:
    """The operator finishes while no host is there; a rival is asked first by the next one."""
    begun, hold, port = list[str](), anyio.Event(), free_port()
    async with anyio.create_task_group() as tasks:
        async with house(tmp_path, port=port) as one:
            operator = one.operator()

            @operator.handler
            async def work(task: Task) -> Any:
                begun.append(task.key)
                await hold.wait()
                return "meanwhile"

            tasks.start_soon(operator.run)
            await one.host.start(await one.load(), {"given": 1}, run_id="kept")
            await until(lambda: bool(begun))
        hold.set()
        await until(lambda: bool(operator.hands.answers))
        async with house(tmp_path, port=port) as again:
            run = await again.host.run("kept")
            await until(lambda: run.status == "succeeded", 30)
            assert (await run.result())["out"] == "meanwhile"
            await until(lambda: next(iter(operator.hands.answers.values()))[1])
        tasks.cancel_scope.cancel()
    assert begun == ["kept/$/1"]


async def test_his_answer_counts_though_the_next_host_has_asked_another(tmp_path: Path) -> None:
    begun, hold, port = list[str](), anyio.Event(), free_port()
    async with anyio.create_task_group() as tasks:
        async with house(tmp_path, port=port) as one:
            ada, bob = one.operator("ada"), one.operator("bob")

            @ada.handler
            async def first(task: Task) -> Any:
                begun.append("ada")
                await hold.wait()
                return "ada"

            @bob.handler
            async def second(task: Task) -> Any:
                begun.append("bob")
                await anyio.sleep_forever()

            async with ada.running():
                await one.host.start(await one.load(), {"given": 1}, run_id="kept")
                await until(lambda: begun == ["ada"])
                kept = ada.hands
        # The same hands under another line: nobody has told him that the host was gone.
        async with house(tmp_path, port=port) as again:
            tasks.start_soon(bob.run)
            await until(lambda: begun == ["ada", "bob"])
            hold.set()
            ada.hands = kept
            tasks.start_soon(ada.run)
            await ada.welcomed()
            ada.hands.answer(Result(key="kept/$/1", value="ada"), time.monotonic())
            run = await again.host.run("kept")
            await until(lambda: run.status == "succeeded", 30)
            assert (await run.result())["out"] == "ada"
            await until(lambda: not bob.hands.holding)
        tasks.cancel_scope.cancel()


async def test_what_an_operator_asked_and_handed_over_outlives_the_host(tmp_path: Path) -> None:
    begun, events, port = list[str](), list[Any](), free_port()
    async with anyio.create_task_group() as tasks:
        async with house(tmp_path, port=port) as one:
            operator = one.operator()

            @operator.handler
            async def work(task: Task) -> Any:
                begun.append(task.key)
                await task.part("note", {"of": task.input})
                return {"said": await task.ask("is this ours?")}

            tasks.start_soon(operator.run)
            run = await one.host.start(await one.load(), {"given": 1}, run_id="kept")
            async for event in run.events():
                if event["kind"] == "question.asked":
                    break
        async with house(tmp_path, port=port) as again:
            run = await again.host.run("kept")
            await until(lambda: bool(again.operators.desk.cases))
            await until(lambda: operator.lines == 2)
            (question,) = await run.questions()
            await run.answer(question.id, True)
            with anyio.fail_after(30):
                assert (await run.result())["out"] == {"said": True}
            events += [event async for event in run.events()]
        tasks.cancel_scope.cancel()
    assert begun == ["kept/$/1"]
    assert [e["kind"] for e in events].count("question.asked") == 1
    assert {e["name"] for e in events if e["kind"] == "step.part"} == {"note"}


async def test_a_host_that_ends_tells_so_and_gives_nothing_new(tmp_path: Path) -> None:
    async with house(tmp_path) as one:
        line = await RawLine.shake(one.port, request(one.token("ada")))
        await line.hello("ada", capacity=2)
        run = await one.host.start(await one.load(), {"given": 1}, run_id="kept")
        order = (await line.hear("assign"))["order"]
        one.operators.drain()
        await line.hear("drain")
        other = await one.host.start(await one.load(), {"given": 2}, run_id="other")
        await until(lambda: len(one.operators.desk.cases) == 2)
        # What is in hand is finished; what is new waits for the next host.
        await line.tell("result", key=order["key"], value="done")
        assert (await line.hear("settled", "assign"))["type"] == "settled"
        assert (await run.result())["out"] == "done"
        assert [case.state for case in one.operators.desk.cases.values()] == ["waiting"]
        assert other.status in ("running", "waiting")
        await line.aclose()
    async with house(tmp_path) as again, answering(again).running():
        run = await again.host.run("other")
        await until(lambda: run.status == "succeeded", 30)


async def test_an_answer_that_comes_while_the_host_ends_is_asked_for_by_the_next(
    tmp_path: Path,
) -> None:
    """It cannot be written down any more, so nobody says that it counts."""
    async with house(tmp_path) as one:
        line = await RawLine.shake(one.port, request(one.token("ada")))
        await line.hello("ada")
        await one.host.start(await one.load(), {"given": 1}, run_id="kept")
        order = (await line.hear("assign"))["order"]
        one.operators.rest()
        await line.tell("result", key=order["key"], value="late")
        await line.alive()
        assert "settled" not in line.buffer.decode()
        await line.aclose()


async def test_without_operators_it_is_a_question() -> None:
    async with Host.in_memory(scripts="inline") as host:
        made = step({"verdict": ["PASS"], "seat": "ada", "prompt": "look"})
        run = await host.start(await host.load(made), {"given": 1})
        await until(lambda: run.status == "waiting")
        (question,) = await run.questions()
        assert (question.to, question.ask.prompt) == ("ada", "look")
        await run.answer(question.id, "PASS")
        assert (await run.result())["out"] == "PASS"


async def test_the_kind_asks_over_any_link() -> None:
    operators = FakeOperators({"reviewer": lambda order: order.body})
    async with Host.in_memory(operators=operators, scripts="inline") as host:
        run = await host.start(await host.load(step()), {"given": 5})
        assert (await run.result())["out"] == 5


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        ({"of": "al"}, "did you mean 'all'"),
        ({"seat": 3}, "seat"),
        ({"seat": []}, "seat"),
        ({"away_s": 0}, "away_s"),
        ({"on_away": "next"}, "expected seconds, for on_away 'next'"),
        ({"on_away": "escalate", "away_s": 5}, "expected 'escalate_to'"),
        ({"escalate_to": "chief"}, "together with on_away 'escalate'"),
        ({"needs": "law"}, "needs"),
        ({"seats": ["a"]}, "did you mean 'seat'"),
    ],
)
async def test_a_wrong_setting_is_told(agent: dict[str, Any], said: str) -> None:
    async with Host.in_memory(scripts="inline") as host:
        with pytest.raises(BlueprintInvalid) as caught:
            await host.load(step(agent))
        (problem,) = caught.value.problems
        assert said in str(problem)


@pytest.mark.parametrize("url", ["", "127.0.0.1:7777", "ftp://x", "ws://"])
def test_an_address_that_is_none_is_told(url: str) -> None:
    with pytest.raises(Refused, match="expected an address such as"):
        connect(url, name="ada", token="t")  # noqa: S106 - none


async def test_an_input_that_is_larger_than_a_message_fails_the_step() -> None:
    bounds = Bounds(message_bytes=5000, tick_s=0.05)
    async with house(bounds=bounds) as one, answering(one).running():
        with pytest.raises(RunFailed, match="too large for a message"):
            await one.ask("x" * 6000)
        assert await one.ask("x" * 1000) == "PASS"


async def test_an_answer_that_is_larger_than_a_message_fails_the_step() -> None:
    async with house(bounds=Bounds(message_bytes=5000, tick_s=0.05)) as one:
        async with answering(one, value="y" * 6000).running():
            with pytest.raises(RunFailed, match="too large for a message"):
                await one.ask()
        async with answering(one, value="y" * 1000).running():
            assert len(await one.ask()) == 1000


async def test_who_leaves_finishes_first_and_takes_nothing_new() -> None:
    async with house() as one:
        operator, hold = one.operator(), anyio.Event()

        @operator.handler
        async def work(task: Task) -> Any:
            await hold.wait()
            return "done"

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(operator.run)
            run = await one.host.start(await one.load(), {"given": 1})
            await until(lambda: bool(operator.hands.holding))
            await operator.leave()
            other = await one.host.start(await one.load(), {"given": 2})
            hold.set()
            assert (await run.result())["out"] == "done"
            await until(lambda: not one.operators.sessions)
            assert other.status in ("running", "waiting")
            await other.cancel()
            tasks.cancel_scope.cancel()


# -- many at once --------------------------------------------------------------------------


async def _most_in_a_turn(monkeypatch: pytest.MonkeyPatch) -> int:
    """Let forty lines say something at once; return how much was looked at in one turn."""
    turn, most, received = [0], [0], server._Line._received  # pyright: ignore[reportPrivateUsage]

    def counted(self: Any, message: Any) -> None:
        turn[0] += 1
        most[0] = max(most[0], turn[0])
        received(self, message)

    async def count_turns() -> None:
        while True:
            turn[0] = 0
            await anyio.lowlevel.checkpoint()

    async with house() as one:
        lines = [await RawLine.shake(one.port, request(one.token(f"n{n}"))) for n in range(40)]
        for n, line in enumerate(lines):
            await line.hello(f"n{n}", seats=["x"])
        monkeypatch.setattr(server._Line, "_received", counted)  # pyright: ignore[reportPrivateUsage]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(count_turns)
            for line in lines:
                # Past the loop, so that it finds all of them at once.
                os.write(line.raw.fileno(), frame(TEXT, b'{"type":"heartbeat"}'))
            for line in lines:
                await line.hear("heartbeat")
            tasks.cancel_scope.cancel()
        for line in lines:
            await line.aclose()
    return most[0]


async def test_however_many_speak_at_once_others_get_their_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert await _most_in_a_turn(monkeypatch) <= 8


async def test_control_lines_that_take_no_turns_are_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(server, "_AT_ONCE", 1000)
    assert await _most_in_a_turn(monkeypatch) > 8


@pytest.mark.parametrize("volume", [1.0, 1e9])
async def test_who_says_much_is_read_later(volume: float) -> None:
    """What was said at once is heard; behind it, others are heard and he is not."""
    bounds = Bounds(volume=volume, volume_burst=100_000, per_address=100, tick_s=0.05)
    async with house(bounds=bounds, operators=Operators(bounds)) as one:
        loud = await RawLine.shake(one.port, request(one.token("ada")))
        await loud.hello("ada")
        other = await RawLine.shake(one.port, request(one.token("bob")))
        await other.hello("bob", seats=["x"])
        for _ in range(3):
            await loud.send(frame(TEXT, b'{"type":"heartbeat"' + b" " * 60_000 + b"}"))
        with anyio.fail_after(20):
            await loud.hear("heartbeat")
        heard = 1
        with anyio.move_on_after(0.5 if volume == 1.0 else 20):
            while heard < 3:
                await loud.hear("heartbeat")
                heard += 1
        assert heard == (1 if volume == 1.0 else 3)
        await other.alive()
        assert one.endpoint.lines == 2
        await loud.aclose()
        await other.aclose()
