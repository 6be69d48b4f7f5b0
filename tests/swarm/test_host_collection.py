"""Letting go of runs: which may, what goes with them, and what stays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm import Host, Refused
from swarm.blueprint.canonical import digest_of
from swarm.host.collection import Retention, chosen
from swarm.ids import RunId
from swarm.ports.journal import RunRow

pytestmark = pytest.mark.anyio


def row(run_id: str, status: str = "succeeded", ended_s: float = 0.0, **more: Any) -> RunRow:
    ended = None if status in ("running", "paused", "waiting") else ended_s
    return RunRow(RunId(run_id), status, ended_s=ended, **more)


ROWS = [
    row("newest", ended_s=90),
    row("busy", "running"),
    row("wrong", "failed", 80),
    row("child", "paused", parent=RunId("open")),
    row("open", ended_s=50),
    row("grandchild", ended_s=30, parent=RunId("within")),
    row("within", "failed", 30, parent=RunId("old")),
    row("old", ended_s=40),
    row("orphan", "cancelled", 10, parent=RunId("nobody")),
]


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (Retention(), ["newest", "wrong", "old", "orphan"]),
        (Retention(older_than_s=60), ["old", "orphan"]),
        (Retention(older_than_s=59.9), ["old", "orphan"]),
        (Retention(status={"failed"}), ["wrong"]),
        (Retention(keep=2), ["old", "orphan"]),
        (Retention(keep=100), []),
        (Retention(status={"failed", "cancelled"}, keep=1), ["orphan"]),
    ],
)
def test_what_may_go_is_ended_old_and_not_among_the_latest(
    retention: Retention, gone: list[str]
) -> None:
    assert chosen(ROWS, retention, 100.0) == gone


def test_what_somebody_has_in_hand_stays() -> None:
    assert chosen(ROWS, Retention(), 100.0, {"grandchild"}) == ["newest", "wrong", "orphan"]


async def test_one_end_may_be_named_alone() -> None:
    said = {"kind": "assign", "at": "$.a", "value": "1"}
    async with Host.in_memory() as host:
        run = await host.start(await host.load({"swarm": 1, "id": "a", "agents": [], "flow": said}))
        await run.wait()
        assert (await host.gc(status="failed", dry_run=True)).runs == ()
        assert (await host.gc(status="succeeded", dry_run=True)).runs == (run.id,)


async def test_who_holds_a_run_that_was_removed_is_told() -> None:
    said = {"kind": "assign", "at": "$.a", "value": "1"}
    async with Host.in_memory() as host:
        run = await host.start(await host.load({"swarm": 1, "id": "a", "agents": [], "flow": said}))
        await run.wait()
        assert run.summary.ended_s is None
        assert await host.run(run.id) is run
        assert run.summary.ended_s is not None, "and what a list shows of it is of now"
        assert (await host.gc()).runs == (run.id,)
        with pytest.raises(Refused, match="the run was collected"):
            async for _ in run.events():
                pass
        with pytest.raises(Refused, match="expected the id of a run of this host"):
            await host.run(run.id)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"older_than_s": -1}, "older_than_s"),
        ({"older_than_s": float("nan")}, "older_than_s"),
        ({"keep": -1}, "keep"),
        ({"status": ["running"]}, "status"),
        ({"status": "running"}, "status"),
        ({"status": 5}, "status"),
        ({"status": [["failed"]]}, "status"),
        ({"keep": "2"}, "keep"),
        ({"keep": True}, "keep"),
        ({"older_than_s": "30d"}, "older_than_s"),
    ],
)
async def test_a_retention_that_means_nothing_is_refused(
    settings: dict[str, Any], field: str
) -> None:
    async with Host.in_memory() as host:
        with pytest.raises(Refused, match=f"retention: {field}: expected") as refused:
            await host.gc(**settings)
        assert refused.value.code == "retention.malformed"


def flow(*steps: dict[str, Any], **more: Any) -> dict[str, Any]:
    agents = [{"name": "echo", "kind": "function", "function": "echo", "output": "ref"}]
    agents += more.pop("agents", [])
    return {
        "swarm": 1,
        "id": "kept",
        "agents": agents,
        "flow": {"kind": "seq", "children": list(steps)},
    }


ECHO = {"kind": "step", "ref": "echo", "in": "ctx.text", "out": "$.kept", "id": "first"}
AGAIN = {"kind": "step", "ref": "echo", "in": "ctx.text", "out": "$.again", "id": "again"}


def hosts(tmp_path: Path, kind: str) -> Host:
    host = Host.in_memory() if kind == "memory" else Host(tmp_path / "s", durability="normal")

    @host.function("echo")
    async def echo(value: Any) -> Any:
        if value == "stay":
            await anyio.sleep_forever()
        return value

    return host


@pytest.mark.parametrize("kind", ["memory", "disk"])
async def test_a_host_lets_go_of_what_nobody_needs(tmp_path: Path, kind: str) -> None:
    async with hosts(tmp_path, kind) as host:
        inner = flow(ECHO)
        sub = {"name": "sub", "kind": "flow", "blueprint": "i.json", "document": inner}
        sub["digest"] = digest_of(inner)
        into = {"kind": "step", "ref": "sub", "in": "ctx", "out": "$.sub"}
        blueprint = await host.load(flow(ECHO, AGAIN, into, agents=[sub]))
        old = await host.start(blueprint, {"text": "shared"}, run_id="old")
        kept = (await old.result())["kept"]
        new = await host.rerun("old", from_step="again", new_id="new")
        await new.result()
        stays = await host.start(await host.load(flow(ECHO)), {"text": "stay"}, run_id="stays")
        assert len(await host.runs()) == 5
        watcher = old.events(since=1)

        would = await host.gc(keep=1, dry_run=True)
        assert (would.runs, would.forgotten.runs) == (("old",), 2)
        assert len(await host.runs()) == 5, "a dry run removes nothing"
        did = await host.gc(keep=1)
        assert did == would, "and tells the truth"
        assert (await host.gc(keep=1)).runs == (), "once"

        assert {run.id for run in await host.runs()} >= {"new", "stays"}
        assert await new.output(kept) == "shared", "a blob that another run holds stays"
        with pytest.raises(Refused) as refused:
            await host.run("old")
        assert refused.value.code == "run.unknown"
        with pytest.raises(Refused, match="the run was collected"):
            await anext(watcher)
        assert (await host.gc()).runs == ("new",)
        with pytest.raises(Refused) as refused:
            await stays.output(kept)
        assert refused.value.code == "output.unknown"
        assert stays.status == "running", "what goes on is never touched"
        await stays.cancel()
        await stays.wait()


async def test_many_go_in_several_transactions_each_of_which_is_whole(tmp_path: Path) -> None:
    async with hosts(tmp_path, "disk") as host:
        blueprint = await host.load(flow(ECHO))
        async with anyio.create_task_group() as tasks:
            for n in range(230):

                async def one(n: int) -> None:
                    run = await host.start(blueprint, {"text": f"text {n}"})
                    await run.wait()

                tasks.start_soon(one, n)
        did = await host.gc(keep=5)
        assert (len(did.runs), did.forgotten.runs, did.forgotten.blobs) == (225, 225, 225)
        assert len(await host.runs()) == 5


def test_the_command_says_what_it_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from swarm.cli.main import invoke

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARM_STORE", raising=False)
    (tmp_path / "b.json").write_text(
        '{"swarm": 1, "id": "b", "flow": {"kind": "assign", "at": "$.a", "value": "1"}}'
    )

    def swarm(*arguments: str) -> tuple[int, str, str]:
        code = invoke(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    for name in ("one", "two", "three"):
        assert swarm("run", "b.json", "--run-id", name)[0] == 0
    code, _, err = swarm("runs", "gc")
    assert code == 2
    assert "expected --older-than, --status or --keep, or [retention] in swarm.toml" in err
    assert swarm("runs", "gc", "--older-than", "1h") == (
        0, "", "removed 0 runs, 0 events, 0 blobs: 0 bytes\n"
    )  # fmt: skip
    assert swarm("runs", "gc", "--older-than", "long")[0] == 2
    code, out, err = swarm("runs", "gc", "--keep", "2", "--dry-run")
    assert (code, out) == (0, "one\n")
    assert err.startswith("would remove 1 run, 2 events")
    (tmp_path / "swarm.toml").write_text('[retention]\nkeep = 1\nolder_than = "0s"\n')
    code, out, err = swarm("runs", "gc")
    assert (code, out.split()) == (0, ["two", "one"])
    assert err.startswith("removed 2 runs")
    assert len(swarm("runs", "list")[1].splitlines()) == 1
    (tmp_path / "swarm.toml").write_text("[retention]\nkeep = 'all'\n")
    code, _, err = swarm("runs", "gc")
    assert code == 2
    assert "retention.keep" in err
