"""The host as an app sees it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from subprocess import run as run_process
from typing import Any

import anyio
import pytest

import swarm
from swarm import BlueprintInvalid, Host, Refused, RunFailed
from swarm.blueprint.frozen import thawed
from swarm.host.blocking import run_blocking
from swarm.ports.worker import Call, Outcome, StepLink
from swarm.testing import CountedIds, FakeClock, MemoryJournal, Parts, scripted_blueprint

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return request.param


SHOUT = """
local flow = require "flow"
return flow.blueprint {
  id = "hello",
  agents = { flow.fn "shout" },
  flow = flow.step { agent = "shout", input = "ctx.name", out = "ctx.said" },
}
"""

STAY = {"kind": "step", "ref": "stay", "in": {"op": "lit", "value": 1}}


def fake(clock: FakeClock | None = None) -> Host:
    return Host(Parts(MemoryJournal(), clock or FakeClock(), CountedIds()), shutdown_s=5)


class Stay:
    """A worker that stays until it is stopped."""

    def __init__(self) -> None:
        self.inside = 0

    async def __call__(self, call: Call, link: StepLink) -> Outcome:
        self.inside += 1
        try:
            await anyio.sleep_forever()
        finally:
            self.inside -= 1
        return Outcome(None)


async def test_a_lua_blueprint_runs_with_a_python_function(tmp_path: Path) -> None:
    host = Host.in_memory()

    @host.function("shout")
    def shout(text: str) -> str:
        return text.upper() + "!"

    assert shout("a") == "A!"
    async with host:
        blueprint = await host.load(written(tmp_path / "hello.lua", SHOUT))
        run = await host.start(blueprint, {"name": "Ada"})
        kinds = [event["kind"] async for event in run.events()]
        assert kinds == ["run.started", "step.started", "step.finished", "run.finished"]
        assert await run.result() == {"name": "Ada", "said": "ADA!"}
        assert (await run.wait()).status == run.status == "succeeded"
        assert run.id.startswith("r_")


def written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


async def test_a_document_with_problems_is_not_loaded() -> None:
    async with Host.in_memory() as host:
        with pytest.raises(swarm.BlueprintInvalid) as caught:
            await host.load({"swarm": 1, "id": "x", "flow": {"kind": "step", "ref": "nobody"}})
    assert caught.value.problems


async def test_the_built_in_sleep_uses_the_host_s_clock() -> None:
    clock = FakeClock(jumps=True)
    began = clock.monotonic()
    async with fake(clock) as host:
        nap = {"kind": "step", "ref": "swarm.sleep", "in": "3600"}
        blueprint = await host.load({"swarm": 1, "id": "nap", "agents": [], "flow": nap})
        run = await host.start(blueprint)
        assert await run.result() == {}
    assert clock.monotonic() - began == 3600


async def test_a_failed_run_raises_from_result_and_not_from_wait() -> None:
    async with fake() as host:
        flow = {**STAY, "ref": "bad"}
        run = await host.start(scripted_blueprint(flow, {"bad": [ValueError("no")]}))
        outcome = await run.wait()
        assert outcome.status == "failed"
        assert outcome.error is not None
        assert outcome.error["cause_code"] == "worker.error"
        with pytest.raises(RunFailed, match=r"run r_1 failed at \$: ValueError: no") as caught:
            await run.result()
        assert caught.value.error == outcome.error


async def test_a_function_that_would_end_a_program_fails_its_step_and_no_more() -> None:
    """Such as one that calls argparse, which leaves by SystemExit."""

    def in_a_thread(words: str) -> None:
        argparse.ArgumentParser(prog="tool").parse_args(words.split())

    async def in_place(words: str) -> None:
        in_a_thread(words)

    stay = Stay()
    async with fake() as host:
        host.function("in_a_thread")(in_a_thread)
        host.function("in_place")(in_place)
        other = await host.start(scripted_blueprint(STAY, {"stay": stay}))
        for name in ("in_a_thread", "in_place"):
            agent = {"name": "tool", "kind": "function", "function": name}
            flow = {"kind": "step", "ref": "tool", "in": {"op": "lit", "value": "--no"}}
            document = {"swarm": 1, "id": "tool", "agents": [agent], "flow": flow}
            outcome = await (await host.start(await host.load(document))).wait()
            assert outcome.error is not None
            assert outcome.error["cause_code"] == "worker.error"
            assert outcome.error["message"] == "SystemExit: 2"
        assert other.status == "running"
        await other.cancel()


async def test_a_cancelled_run_says_so() -> None:
    stay = Stay()
    async with fake() as host:
        run = await host.start(scripted_blueprint(STAY, {"stay": stay}))
        await run.cancel("enough")
        outcome = await run.wait()
        assert outcome.status == "cancelled"
        assert outcome.error is not None
        assert outcome.error["message"] == "enough"
        with pytest.raises(RunFailed, match="cancelled"):
            await run.result()
    assert stay.inside == 0


async def test_whatever_can_be_loaded_can_be_started(tmp_path: Path) -> None:
    file = tmp_path / "hello.lua"
    file.write_text(SHOUT)
    async with Host.in_memory() as host:
        host.function("shout")(str.upper)
        document = (await host.load(file)).document
        for source in (file, str(file), document, thawed(document)):
            run = await host.start(source, {"name": "Ada"})
            assert (await run.result())["said"] == "ADA"
        for nothing in (3, None, ["a"]):
            with pytest.raises(BlueprintInvalid, match="expected an object, got"):
                await host.start(nothing)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_starting_again_with_the_same_id_gives_the_same_run() -> None:
    async with fake() as host:
        blueprint = scripted_blueprint(STAY, {"stay": lambda _: None})
        first = await host.start(blueprint, {"a": 1, "b": 2}, run_id="mine")
        assert await host.start(blueprint, {"b": 2, "a": 1}, run_id="mine") is first
        with pytest.raises(Refused, match="expected the input") as caught:
            await host.start(blueprint, {"a": 2}, run_id="mine")
        assert caught.value.code == "run.conflict"
        other = scripted_blueprint(STAY, {"stay": lambda _: None}, id="other")
        with pytest.raises(Refused, match="expected the blueprint"):
            await host.start(other, {"a": 1, "b": 2}, run_id="mine")
        assert await host.runs() == (first,)


async def test_two_starts_at_once_with_the_same_id_make_one_run() -> None:
    runs: list[Any] = []
    async with fake() as host, anyio.create_task_group() as tasks:
        blueprint = scripted_blueprint(STAY, {"stay": lambda _: None})

        async def start() -> None:
            runs.append(await host.start(blueprint, run_id="mine"))

        for _ in range(3):
            tasks.start_soon(start)
    assert len(runs) == 3
    assert len(set(map(id, runs))) == 1


@pytest.mark.parametrize("run_id", ["", "a b", "../x", "-a", "a" * 65, "ä"])
async def test_an_id_that_cannot_be_one_is_refused(run_id: str) -> None:
    async with fake() as host:
        with pytest.raises(Refused) as caught:
            await host.start(scripted_blueprint(STAY, {"stay": ()}), run_id=run_id)
        assert caught.value.code == "run.id"
        assert await host.runs() == ()


async def test_a_first_context_that_is_no_json_is_refused() -> None:
    async with fake() as host:
        with pytest.raises(Refused, match=r"input: \$\.x") as caught:
            await host.start(scripted_blueprint(STAY, {"stay": ()}), {"x": (1, 2)})
        assert caught.value.code == "run.input"


async def test_runs_are_found_by_id_and_listed_the_latest_first() -> None:
    async with fake() as host:
        stay = scripted_blueprint(STAY, {"stay": Stay()})
        done = scripted_blueprint(STAY, {"stay": lambda _: None})
        first, second = await host.start(stay), await host.start(done)
        await second.wait()
        assert await host.run("r_1") is first
        assert await host.runs() == (second, first)
        assert await host.runs("running") == (first,)
        assert await host.runs({"succeeded", "failed"}) == (second,)
        assert await host.runs(limit=1) == (second,)
        assert await host.runs(before="r_2") == (first,)
        with pytest.raises(Refused, match="'r_9'") as caught:
            await host.run("r_9")
        assert caught.value.code == "run.unknown"


async def test_leaving_cancels_what_runs_and_what_it_holds() -> None:
    stay, cleaned = Stay(), list[Any]()
    flow: dict[str, Any] = {
        "kind": "try",
        "body": STAY,
        "catch": {"kind": "seq", "children": []},
        "finally": {**STAY, "ref": "clean"},
    }
    async with fake() as host:
        blueprint = scripted_blueprint(flow, {"stay": stay, "clean": cleaned.append})
        run = await host.start(blueprint)
        await anyio.wait_all_tasks_blocked()
        assert stay.inside == 1
    assert stay.inside == 0
    assert cleaned == [1]
    assert run.status == "cancelled"


async def test_leaving_does_not_wait_for_ever_for_a_worker_that_does_not_end() -> None:
    async def stubborn(call: Call, link: StepLink) -> Outcome:
        with anyio.CancelScope(shield=True), anyio.move_on_after(0.05):
            await anyio.sleep_forever()
        return Outcome(None)

    host = Host(Parts(MemoryJournal(), FakeClock(), CountedIds()), shutdown_s=0.01)
    async with host:
        run = await host.start(scripted_blueprint(STAY, {"stay": stubborn}))
        await anyio.wait_all_tasks_blocked()
    assert (await run.wait()).error is not None


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_leaving_waits_for_no_shield_on_asyncio(anyio_backend: str) -> None:
    async def shielded(call: Call, link: StepLink) -> Outcome:
        with anyio.CancelScope(shield=True):
            await anyio.sleep_forever()
        return Outcome(None)

    host = Host(Parts(MemoryJournal(), FakeClock(), CountedIds()), shutdown_s=0.01)
    with anyio.fail_after(5):
        async with host:
            run = await host.start(scripted_blueprint(STAY, {"stay": shielded}))
            await anyio.wait_all_tasks_blocked()
    assert not run.live


async def test_an_error_in_the_body_is_not_hidden_by_leaving() -> None:
    stay = Stay()

    async def main() -> None:
        async with fake() as host:
            await host.start(scripted_blueprint(STAY, {"stay": stay}))
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        await main()
    assert stay.inside == 0


async def test_a_cancelled_body_still_winds_up() -> None:
    stay = Stay()
    runs: list[swarm.Run] = []
    with anyio.CancelScope() as scope:
        async with fake() as host:
            runs.append(await host.start(scripted_blueprint(STAY, {"stay": stay})))
            scope.cancel()
            await anyio.sleep_forever()
    assert scope.cancelled_caught
    assert stay.inside == 0
    assert runs[0].status == "cancelled"


async def test_a_closed_host_refuses() -> None:
    host = fake()
    with pytest.raises(Refused) as caught:
        await host.start(scripted_blueprint(STAY, {"stay": ()}))
    assert caught.value.code == "host.closed"
    async with host:
        with pytest.raises(Refused) as caught:
            await host.__aenter__()
        assert caught.value.code == "host.open"


async def test_two_hosts_do_not_know_of_each_other() -> None:
    async with fake() as one, fake() as two:
        one.function("f")(lambda: 1)
        two.function("f")(lambda: 2)
        blueprint = scripted_blueprint(STAY, {"stay": lambda _: None})
        await one.start(blueprint, run_id="same")
        await two.start(blueprint, {"other": 1}, run_id="same")
        assert len(await one.runs()) == len(await two.runs()) == 1


def test_a_function_is_checked_when_it_is_registered() -> None:
    def takes_a_list(*items: Any) -> Any:
        return items

    host = fake()
    with pytest.raises(Refused) as caught:
        host.function("bad")(takes_a_list)
    assert caught.value.code == "function.signature"
    host.function("f")(lambda: 1)
    with pytest.raises(Refused) as caught:
        host.function("f")(lambda: 2)
    assert caught.value.code == "function.taken"


async def test_a_store_that_cannot_be_kept_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused) as caught:
        async with Host(tmp_path / "file"):
            pass
    assert caught.value.code == "store.unavailable"


async def test_a_blueprint_that_the_store_has_not_is_refused() -> None:
    async with fake() as host:
        with pytest.raises(Refused) as caught:
            await host.start("hello@1.2")
        assert caught.value.code == "version.unknown"


async def test_run_blocking_refuses_to_stop_a_loop_that_runs(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="outside of an event loop") as caught:
        run_blocking({"swarm": 1, "id": "x", "agents": [], "flow": {"kind": "seq", "children": []}})
    assert caught.value.code == "host.loop"


def test_run_blocking_runs_to_the_end(tmp_path: Path) -> None:
    file = written(tmp_path / "hello.lua", SHOUT)
    ctx = run_blocking(file, {"name": "Ada"}, functions={"shout": str.upper})
    assert ctx == {"name": "Ada", "said": "ADA"}


def test_every_name_is_there_and_sorted() -> None:
    assert list(swarm.__all__) == sorted(swarm.__all__)
    for name in swarm.__all__:
        assert getattr(swarm, name) is not None
    assert set(swarm.__all__) <= set(dir(swarm))
    with pytest.raises(AttributeError, match="nonsense"):
        getattr(swarm, "nonsense")  # noqa: B009 - a type checker finds the plain form


def test_importing_it_loads_nothing_heavy() -> None:
    script = (
        "import sys, swarm; print([m for m in ('anyio', 'pydantic', 'lupa') if m in sys.modules])"
    )
    done = run_process(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
