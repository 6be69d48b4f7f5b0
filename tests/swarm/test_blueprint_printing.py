"""Documents printed as scripts: what is loaded again is the same document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowir import wire
from swarm.blueprint.canonical import digest_of
from swarm.blueprint.printing import blueprint_script
from swarm.errors import BlueprintInvalid
from swarm.host.host import Host
from tests.flowir.random_flows import RandomFlow
from tests.flowir.strategies import documents

ROOT = Path(__file__).parents[2]
BLUEPRINTS = sorted(
    path
    for path in ROOT.glob("blueprints/*")
    if path.suffix in (".lua", ".json", ".yaml") and not path.stem.endswith("_test")
)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=40)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


def host_of(*names: str) -> Host:
    host = Host.in_memory(scripts="inline", includes={"house": ROOT / "agents"})
    for name in names:
        host.function(name)(_given)
    return host


def _given(value: Any) -> Any:
    return value


def refs(node: Any) -> set[str]:
    if isinstance(node, list):
        return {ref for one in node for ref in refs(one)}
    if not isinstance(node, dict):
        return set()
    own = {node["ref"]} if node.get("kind") == "step" else set[str]()
    return own | {ref for one in node.values() for ref in refs(one)}


def document_of(flow: Any, **more: Any) -> dict[str, Any]:
    names = sorted(refs(flow))
    agents = [{"name": name, "kind": "function", "function": name} for name in names]
    return {"swarm": 1, "id": "case", "agents": agents, **more, "flow": wire.dump(wire.load(flow))}


async def reloaded(document: Any, folder: Path) -> Any:
    path = folder / "printed.lua"
    path.write_bytes(blueprint_script(document).encode())
    names = [one["function"] for one in document["agents"] if one["kind"] == "function"]
    return (await host_of(*names).load(path)).document


# What the host of the loop of improvement registers.
_ACTS = ("turn", "brief", "propose", "apply", "verify", "decide", "commit", "watch")
LOOP = [f"enhance_{act}" for act in _ACTS]


@pytest.mark.parametrize("path", BLUEPRINTS, ids=lambda path: path.name)
async def test_every_blueprint_of_the_project_is_printed_and_loaded_again(
    path: Path, tmp_path: Path
) -> None:
    document = (await host_of("readability", *LOOP).load(path)).document
    for name in document.get("files", ()):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((path.parent / name).read_bytes())
    assert digest_of(await reloaded(document, tmp_path)) == digest_of(document)


async def test_random_flows_are_printed_and_loaded_again(tmp_path: Path) -> None:
    compared = 0
    for seed in range(120):
        document = document_of(RandomFlow(seed).document)
        try:
            await host_of(*refs(document["flow"])).load(document)
        except BlueprintInvalid:
            continue  # one that says what no author would: a node that is never reached
        assert digest_of(await reloaded(document, tmp_path)) == digest_of(document)
        compared += 1
    assert compared > 40


async def test_what_an_author_allows_is_printed_and_loaded_again(tmp_path: Path) -> None:
    """A comment became a member of the document; what is printed says it that way."""
    path = tmp_path / "spare.lua"
    path.write_text(
        'local flow = require "flow"\n'
        'local spare = flow.fn "spare" -- allow: agent.unused\n'
        'return flow.blueprint { id = "spare", agents = { spare }, flow = flow.seq {} }\n'
    )
    document = (await host_of("spare").load(path)).document
    assert document["allow"] == {"$.agents[0]": ["agent.unused"]}
    assert digest_of(await reloaded(document, tmp_path)) == digest_of(document)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(value=VALUES)
async def test_any_value_is_printed_and_loaded_again(value: Any, tmp_path: Path) -> None:
    flow = {"kind": "assign", "at": "$.x", "value": {"op": "lit", "value": value}}
    extra = {"name": "a", "kind": "function", "function": "a", "description": "d", "note": value}
    document = document_of(flow)
    assert digest_of(await reloaded(document, tmp_path)) == digest_of(document)
    text = blueprint_script({**document, "agents": [extra]})
    assert "flow.fn" in text


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(flow=documents())
async def test_any_flow_that_loads_is_printed(flow: Any) -> None:
    assert blueprint_script(document_of(flow)).startswith("local flow")


async def test_a_script_of_several_lines_is_printed_in_long_brackets() -> None:
    agent = {"name": "a", "kind": "lua", "source": "local t = {{1}}\nreturn t[t[1][1]]]\n"}
    flow = {"kind": "assign", "at": "$.x", "value": {"op": "lit", "value": 1}}
    text = blueprint_script({**document_of(flow), "agents": [agent]})
    assert "source = [=[\nlocal t" in text


def test_a_heading_is_a_comment() -> None:
    flow = {"kind": "assign", "at": "$.x", "value": {"op": "lit", "value": 1}}
    text = blueprint_script(document_of(flow), heading="printed\nby a program")
    assert text.startswith("-- printed\n-- by a program\nlocal flow")
