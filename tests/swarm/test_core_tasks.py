"""Groups of tasks, and turns of the loop: alike on both loops."""

from __future__ import annotations

import asyncio  # noqa: TID251 - the loop whose own group it is
import gc
import warnings

import anyio
import anyio.lowlevel
import pytest

from swarm.core.tasks import giving_turns, is_by_scope, is_cancelled, news, task_group, to_its_end

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


async def test_a_group_is_left_when_all_that_it_started_has_ended() -> None:
    said: list[str] = []

    async def say(word: str, times: int) -> None:
        for _ in range(times):
            await anyio.lowlevel.checkpoint()
        said.append(word)

    async with task_group() as tasks:
        tasks.start_soon(say, "late", 5)
        tasks.start_soon(say, "soon", 1)
        assert said == []
    assert said == ["soon", "late"]


async def test_a_task_may_start_another_while_the_group_is_being_left() -> None:
    said: list[str] = []

    async def second() -> None:
        said.append("second")

    async def first() -> None:
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(second)
        said.append("first")

    async with task_group() as tasks:
        tasks.start_soon(first)
    assert said == ["first", "second"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_has_the_name_that_it_is_given(anyio_backend: str) -> None:
    names: list[str | None] = []

    async def tell() -> None:
        names.append(anyio.get_current_task().name)

    async with task_group() as tasks:
        tasks.start_soon(tell, name="r_1")
        tasks.start_soon(tell)
    assert names[0] == "r_1"
    assert names[1] != "r_1"


async def test_one_that_raises_ends_the_others_and_the_group() -> None:
    ended: list[str] = []

    async def stay() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append("stay")

    async def fail() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyError("mine")

    async def both() -> None:
        async with task_group() as tasks:
            tasks.start_soon(stay)
            tasks.start_soon(fail)

    with pytest.raises(ExceptionGroup) as caught:
        await both()
    assert [*map(type, caught.value.exceptions)] == [KeyError]
    assert ended == ["stay"]


async def test_whoever_cancels_the_group_ends_all_that_is_in_it() -> None:
    ended: list[int] = []

    async def stay(number: int) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            ended.append(number)

    with anyio.CancelScope() as scope:
        async with task_group() as tasks:
            for number in range(3):
                tasks.start_soon(stay, number)
            await anyio.wait_all_tasks_blocked()
            scope.cancel()
    assert scope.cancelled_caught
    assert sorted(ended) == [0, 1, 2]


async def test_a_scope_within_a_task_is_its_own() -> None:
    left: list[str] = []

    async def short() -> None:
        with anyio.CancelScope() as scope:
            scopes.append(scope)
            await anyio.sleep_forever()
        left.append("short")

    async def long() -> None:
        await anyio.wait_all_tasks_blocked()
        scopes[0].cancel()
        await anyio.sleep(0.01)
        left.append("long")

    scopes: list[anyio.CancelScope] = []
    async with task_group() as tasks:
        tasks.start_soon(short)
        tasks.start_soon(long)
    assert left == ["short", "long"]


async def test_turns_are_given_to_whoever_is_ready() -> None:
    order: list[str] = []

    async def talk(name: str) -> None:
        turn = giving_turns()
        for number in range(3):
            order.append(f"{name}{number}")
            await turn()

    async with task_group() as tasks:
        tasks.start_soon(talk, "a")
        tasks.start_soon(talk, "b")
    # trio wakes who is ready in any order, but each once a turn.
    turns = [sorted(order[n : n + 2]) for n in range(0, 6, 2)]
    assert turns == [["a0", "b0"], ["a1", "b1"], ["a2", "b2"]]


async def test_news_reach_all_who_wait_and_who_comes_later() -> None:
    heard: list[int] = []

    async def hear(number: int) -> None:
        await told.wait()
        heard.append(number)

    told = news()
    async with task_group() as tasks:
        for number in range(3):
            tasks.start_soon(hear, number)
        await anyio.wait_all_tasks_blocked()
        assert heard == []
        told.set()
    assert sorted(heard) == [0, 1, 2]
    await told.wait()


async def test_who_gives_turns_away_may_be_cancelled() -> None:
    with anyio.move_on_after(0.01) as scope:
        turn = giving_turns()
        while True:
            await turn()
    assert scope.cancelled_caught


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_cannot_be_started_any_more_is_not_left_unawaited(anyio_backend: str) -> None:
    async def nothing() -> None: ...

    async with task_group() as tasks:
        tasks.start_soon(nothing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(RuntimeError):
            tasks.start_soon(nothing)
        gc.collect()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_on_asyncio_it_is_the_groups_of_the_standard_library(anyio_backend: str) -> None:
    assert isinstance(task_group(), asyncio.TaskGroup)


# -- to its end ------------------------------------------------------------------------------


async def test_what_is_done_to_its_end_is_done_before_the_cancellation_comes() -> None:
    done: list[str] = []

    async def act(word: str) -> str:
        for _ in range(5):
            await anyio.lowlevel.checkpoint()
        done.append(word)
        return word

    assert await to_its_end(act, "first") == "first"
    with anyio.CancelScope() as scope:
        scope.cancel()
        await to_its_end(act, "second")
        await anyio.lowlevel.checkpoint()
        done.append("too late")
    assert scope.cancelled_caught
    assert done == ["first", "second"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("raises", [False, True])
async def test_a_task_that_is_cancelled_thrice_does_to_its_end_what_it_is_at(
    anyio_backend: str, *, raises: bool
) -> None:
    done: list[int] = []
    go_on = anyio.Event()

    async def act() -> None:
        await go_on.wait()
        done.append(1)
        if raises:
            raise KeyError("heard by nobody")

    said: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: said.append(context))
    task = asyncio.create_task(to_its_end(act))
    for _ in range(3):
        await asyncio.sleep(0)
        task.cancel()
    await anyio.wait_all_tasks_blocked()
    assert (done, task.done()) == ([], False)
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done == [1]
    del task
    # The loop's last handle has it as well.
    await asyncio.sleep(0)
    gc.collect()
    assert said == []


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_who_cancels_every_task_of_a_loop_waits_for_what_is_done_to_its_end(
    anyio_backend: str,
) -> None:
    done: list[str] = []
    before, held, go_on = asyncio.all_tasks(), anyio.Event(), anyio.Event()

    async def act() -> None:
        with anyio.move_on_after(0.01):
            await anyio.sleep_forever()
        done.append("its own scopes hold")
        held.set()
        await go_on.wait()
        done.append("whole")

    waiting = asyncio.create_task(to_its_end(act))
    await held.wait()
    ours = asyncio.all_tasks() - before
    assert len(ours) == 2
    for task in ours:
        task.cancel()
    await anyio.wait_all_tasks_blocked()
    go_on.set()
    await asyncio.wait(ours)
    assert waiting.cancelled()
    assert done == ["its own scopes hold", "whole"]


async def test_what_goes_wrong_to_its_end_is_raised() -> None:
    async def act() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await to_its_end(act)


# -- who is cancelled ------------------------------------------------------------------------


async def test_whoever_is_in_a_scope_that_was_cancelled_is_cancelled() -> None:
    assert not is_cancelled()
    with anyio.CancelScope() as scope:
        found = is_cancelled()
        scope.cancel()
        with anyio.CancelScope(shield=True):
            await anyio.lowlevel.checkpoint()
            assert (found, is_cancelled()) == (False, False)
        assert is_cancelled()
        await anyio.lowlevel.checkpoint()
    assert not is_cancelled()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_task_that_somebody_cancels_is_cancelled_until_he_takes_it_back(
    anyio_backend: str,
) -> None:
    found: list[bool] = []

    async def stay() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            found.append(is_cancelled())
        task.uncancel()
        found.append(is_cancelled())

    task = asyncio.create_task(stay())
    await asyncio.sleep(0)
    task.cancel()
    await task
    assert found == [True, False]


async def test_a_cancellation_is_by_the_scope_that_was_cancelled() -> None:
    found: list[bool] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.lowlevel.checkpoint()
        except anyio.get_cancelled_exc_class() as cancelled:
            found.append(is_by_scope(cancelled))
            raise
    assert found == [True]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_cancellation_of_a_task_is_by_no_scope(anyio_backend: str) -> None:
    async def cancelled(*reason: str) -> bool:
        task = asyncio.current_task()
        assert task is not None
        task.cancel(*reason)
        try:
            await asyncio.sleep(0)
        except asyncio.CancelledError as error:
            task.uncancel()
            return is_by_scope(error)
        return True

    assert not await cancelled()
    assert not await cancelled("for a reason")
    found: list[bool] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        # Both have come: the one that comes once counts.
        found.append(is_by_scope(asyncio.CancelledError()))
        await anyio.lowlevel.checkpoint()
    assert found == [False]
