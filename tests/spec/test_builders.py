"""Every case of the specification, written with the Lua builders.

The script that `lua_printer` makes of a flow must come back as the same flow.
"""

from __future__ import annotations

import pytest

import flowir
from swarm.blueprint.author import lower
from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script
from tests.spec.cases import CASES, Case
from tests.spec.lua_printer import blueprint_script
from tests.spec.verdict import same

WRITABLE = [case for case in CASES if case.loads and "lua" not in case.raw]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("case", WRITABLE, ids=lambda case: case.name)
async def test_the_builders_make(case: Case) -> None:
    flow = flowir.load(case.flow)
    wire = flowir.dump(flow)
    script = Script("case.lua", blueprint_script(wire))
    authored = await InlineScripts().author(script, folder=None)
    lowered = lower(authored, file="case.lua")
    assert not lowered.problems
    assert lowered.document is not None
    assert same(flowir.dump(flowir.load(lowered.document["flow"])), wire), script.source


def test_what_cannot_be_written_in_lua_says_why() -> None:
    assert all(isinstance(case.raw.get("lua", "why"), str) for case in CASES)
    assert len(WRITABLE) > 900
