"""Runs tests/lua/*_spec.lua in the embedded runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarm.lua.runner import InlineScripts
from swarm.ports.scripts import Script

SPECS = Path(__file__).parents[1] / "lua"


@pytest.mark.parametrize(
    "script",
    [Script(path.name, path.read_text()) for path in sorted(SPECS.glob("*_spec.lua"))],
    ids=lambda script: script.name,
)
async def test_a_spec_holds(script: Script) -> None:
    told = await InlineScripts().author(script, folder=SPECS)
    assert told["passed"] > 0
    assert told["failed"] == []


async def test_a_spec_can_fail() -> None:
    source = """
    local spec = require "spec"
    spec.it("holds", function() spec.equal({ 1, { a = 2 } }, { 1, { a = 2 } }) end)
    spec.it("breaks", function() spec.equal(1, 2) end)
    spec.it("raises", function() spec.fails(function() end, "never") end)
    return spec.report()
    """
    told = await InlineScripts().author(Script("s.lua", source), folder=SPECS)
    assert told["passed"] == 1
    assert [name.split(":")[0] for name in told["failed"]] == ["breaks", "raises"]
