"""Python functions as agents: how input becomes arguments, and answers become JSON."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from pydantic import BaseModel, Field

import swarm
from flowir import WorkerFailure
from swarm import StepContext
from swarm.blueprint.agent import AgentSpec
from swarm.blueprint.compiled import CompiledBlueprint
from swarm.errors import Refused
from swarm.lua.runner import InlineScripts
from swarm.ports.questions import Ask
from swarm.ports.worker import Call, Outcome, Toolbox, Usage
from swarm.workers.function import FunctionFactory, FunctionWorker, Signature, SignatureRefused

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


class Point(BaseModel):
    x: int
    y: int = 0


class Diary:
    """A link that writes down what it is told."""

    def __init__(self) -> None:
        self.said: list[Any] = []
        self.cancelled = False

    async def progress(self, text: str) -> None:
        self.said.append(text)

    async def part(self, name: str, value: Any) -> Mapping[str, Any]:
        if self.cancelled:
            raise Refused("step.over", "given up")
        self.said.append((name, value))
        return {"part": name}

    async def read(self, reference: Any) -> Any:
        return b"\xff" if reference == "bytes" else [reference]

    async def call(self, agent: str, input: Any) -> Any:
        return [agent, input]

    async def ask(self, ask: Ask) -> Any:
        return ask.prompt

    async def run(self, blueprint: CompiledBlueprint, input: Any) -> Any:
        return [blueprint.id, input]

    async def sleep(self, seconds: float) -> None:
        self.said.append(seconds)

    def held(self) -> Any:
        raise AssertionError("nobody is asked elsewhere")


async def run(function: Callable[..., Any], input: Any = None, link: Diary | None = None) -> Any:
    worker = FunctionWorker("f", function)
    call = Call("r_1", "$.body#0", "agent", input, 2, "review")
    return (await worker(call, link or Diary())).value


async def refused(function: Callable[..., Any], input: Any) -> str:
    with pytest.raises(WorkerFailure) as caught:
        await run(function, input)
    assert (caught.value.code, caught.value.permanent) == ("function.input", True)
    return caught.value.message


async def test_one_parameter_receives_the_input_as_it_is() -> None:
    def one(anything: Any) -> Any:
        return anything

    for value in (None, 1, "a", [1], {"anything": 1}):
        assert await run(one, value) == value


async def test_a_positional_only_parameter_receives_it_too() -> None:
    def one(a: Any, /) -> Any:
        return a

    assert await run(one, 3) == 3


async def test_no_parameter_ignores_the_input() -> None:
    assert await run(lambda: "here", {"a": 1}) == "here"


async def test_several_parameters_receive_fields_by_name() -> None:
    def add(a: int, b: int, *, c: int = 5) -> int:
        return a + b + c

    assert await run(add, {"a": 1, "b": 2}) == 8
    assert await run(add, {"a": 1, "b": 2, "c": 0}) == 3


async def test_further_fields_go_to_double_star() -> None:
    def rest(a: int, **more: Any) -> Any:
        return [a, more]

    assert await run(rest, {"a": 1, "b": 2}) == [1, {"b": 2}]


async def test_annotations_are_validated_and_models_are_made() -> None:
    def move(point: Point, by: Annotated[int, Field(ge=1)]) -> Point:
        return Point(x=point.x + by, y=point.y)

    assert await run(move, {"point": {"x": 1}, "by": 2}) == {"x": 3, "y": 0}
    said = await refused(move, {"point": {"x": "left"}, "by": 2})
    assert said.startswith("function 'f': point.x: input should be a valid integer")
    assert said.endswith("got 'left'")
    assert "by: input should be greater than or equal to 1, got 0" in await refused(
        move, {"point": {"x": 1}, "by": 0}
    )


async def test_wrong_input_is_a_sentence() -> None:
    def several(name: str, age: int) -> None: ...

    assert await refused(several, "x") == (
        "function 'f': expected an object with 'name', 'age', got string 'x'"
    )
    assert "field 'nane' is not a parameter — did you mean 'name'?" in await refused(
        several, {"nane": "x", "age": 1}
    )
    assert "expected field 'age', got" in await refused(several, {"name": "x"})


async def test_models_anywhere_in_the_answer_become_json() -> None:
    assert await run(lambda: [{"p": Point(x=1)}, Point(x=2)]) == [
        {"p": {"x": 1, "y": 0}},
        {"x": 2, "y": 0},
    ]


async def test_a_tuple_stays_one_for_the_door_to_refuse() -> None:
    assert await run(lambda: (1, 2)) == (1, 2)


async def test_an_outcome_is_handed_on_as_it_is() -> None:
    outcome = Outcome("v", {"p": 1}, Usage(3, 0.1))
    worker = FunctionWorker("f", lambda: outcome)
    assert await worker(Call("r_1", "$", "a", None), Diary()) is outcome


async def test_an_async_function_runs_in_place() -> None:
    async def here(value: int) -> bool:
        await checkpoint()
        return threading.get_ident() == main

    main = threading.get_ident()
    assert await run(here, 1) is True


async def test_a_sync_function_runs_in_a_thread() -> None:
    main = threading.get_ident()
    assert await run(lambda: threading.get_ident() != main) is True


async def test_an_async_method_a_partial_and_an_object_are_functions_too() -> None:
    class Greeter:
        async def greet(self, name: str) -> str:
            return f"hello {name}"

        async def __call__(self, name: str) -> str:
            return f"call {name}"

    async def add(a: int, b: int) -> int:
        return a + b

    assert await run(Greeter().greet, "Ada") == "hello Ada"
    assert await run(Greeter(), "Ada") == "call Ada"
    assert await run(partial(add, b=2), {"a": 1}) == 3


async def test_an_async_function_uses_its_context() -> None:
    async def work(topic: str, step: StepContext) -> Any:
        await step.progress("half")
        await step.part("note", 1)
        return [topic, await step.call("other", {"n": 1}), *facts(step)]

    diary = Diary()
    assert await run(work, "t", diary) == ["t", ["other", {"n": 1}], *FACTS]
    assert diary.said == ["half", ("note", 1)]


async def test_a_sync_function_uses_its_context_without_await() -> None:
    def work(step: StepContext, topic: str) -> Any:
        step.progress("half")
        step.part("note", 1)
        return [topic, step.call("other", {"n": 1}), *facts(step)]

    diary = Diary()
    assert await run(work, "t", diary) == ["t", ["other", {"n": 1}], *FACTS]
    assert diary.said == ["half", ("note", 1)]


FACTS = ["r_1", "review", "$.body#0", 2, "r_1/$.body#0/2", False]


def facts(step: StepContext) -> list[Any]:
    return [step.run, step.step, step.key, step.attempt, step.idempotency_key, step.cancelled]


async def test_the_context_cannot_be_sent_as_a_field() -> None:
    def work(a: int, step: StepContext, b: int = 1, **more: Any) -> Any:
        return None

    assert "field 'step' is not a parameter" in await refused(work, {"a": 1, "step": 2})


async def test_an_abandoned_thread_is_told_and_its_words_are_refused() -> None:
    entered, release, said = threading.Event(), threading.Event(), list[Any]()
    over = threading.Event()

    def stay(step: StepContext) -> Any:
        entered.set()
        release.wait(10)
        said.append(step.cancelled)
        try:
            step.part("late", 1)
        except BaseException as error:  # noqa: BLE001 - each backend has its own word
            said.append(type(error).__name__)
        finally:
            over.set()

    diary = Diary()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(run, stay, None, diary)
        await anyio.to_thread.run_sync(entered.wait)
        tasks.cancel_scope.cancel()
    diary.cancelled = True
    release.set()
    await anyio.to_thread.run_sync(over.wait)
    assert said[0] is True
    assert len(said) == 2
    assert diary.said == []


def takes_a_list(*items: Any) -> Any:
    return items


def takes_a_nameless_one(a: Any, /, b: Any) -> Any:
    return a, b


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (takes_a_list, "takes *items"),
        (takes_a_nameless_one, "has several parameters, so each must have a name"),
        (int, "has no signature that can be read"),
    ],
)
def test_a_function_that_cannot_take_a_step_s_input_is_refused(
    function: Callable[..., Any], why: str
) -> None:
    with pytest.raises(SignatureRefused, match=re.escape(why)):
        Signature.of("f", function)


def test_an_annotation_that_cannot_be_read_is_refused() -> None:
    def odd(a: Any) -> None: ...

    odd.__annotations__["a"] = "NoSuchName"

    with pytest.raises(SignatureRefused, match="annotation that cannot be read"):
        Signature.of("f", odd)


def test_an_annotation_that_json_cannot_fill_is_refused() -> None:
    def odd(a: threading.Event) -> None: ...

    with pytest.raises(SignatureRefused, match="annotates 'a'"):
        Signature.of("f", odd)


def problems(function: Any, **functions: Callable[..., Any]) -> list[tuple[str, str | None]]:
    tools = Toolbox(InlineScripts(), functions)
    agent = AgentSpec("a", "function", {"function": function})
    return [(p.code, p.hint) for p in FunctionFactory().problems(agent, tools)]


def test_wrong_settings_are_found() -> None:
    def shout(text: str) -> str:
        return text

    assert problems("shout", shout=shout) == []
    assert problems("shuot", shout=shout) == [("function.unknown", "did you mean 'shout'?")]
    assert problems("other") == [
        ("function.unknown", '@host.function("other"), or [functions] of swarm.toml')
    ]
    assert problems(5) == [("function.name", None)]
    assert problems("bad", bad=takes_a_list) == [("function.signature", None)]


def test_an_inline_function_runs_on_the_thread_of_the_loop_and_others_do_not() -> None:
    async def main() -> None:
        threads: dict[str, int] = {}
        async with swarm.Host.in_memory() as host:

            @host.function("here", inline=True)
            def here(text: str) -> str:
                threads["here"] = threading.get_ident()
                return text.upper()

            @host.function("there")
            def there(text: str) -> str:
                threads["there"] = threading.get_ident()
                return text + "!"

            agents = [{"name": n, "kind": "function", "function": n} for n in ("here", "there")]
            path = {"op": "path", "at": "$.x"}
            steps = [{"kind": "step", "ref": n, "in": path, "out": "$.x"} for n in threads_of]
            flow = {"kind": "seq", "children": steps}
            loaded = await host.load({"swarm": 1, "id": "t", "agents": agents, "flow": flow})
            run = await host.start(loaded, {"x": "a"})
            assert await run.result() == {"x": "A!"}
        assert threads["here"] == threading.get_ident() != threads["there"]
        assert here("b") == "B"  # what was registered is what the caller still has

    threads_of = ("here", "there")
    anyio.run(main)


def test_an_inline_function_that_would_have_to_wait_is_refused() -> None:
    host = swarm.Host.in_memory()

    async def waits(text: str) -> str:
        return text

    def asks(text: str, context: swarm.StepContext) -> str:
        return text

    for function, said in ((waits, "is async"), (asks, "takes the StepContext")):
        with pytest.raises(swarm.Refused, match=said):
            host.function("f", inline=True)(function)
        host.function(function.__name__)(function)
