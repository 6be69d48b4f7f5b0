"""docs/layers.md tells the layers there are, in their order, and its examples run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from swarm.cli.main import invoke
from swarm.host.host import Host
from swarm.middleware.lua import LUA
from swarm.middleware.shipped import SHIPPED
from swarm.ports.layer import LayerFactory
from swarm.ports.operators import Order
from swarm.testing import (
    FakeOperators,
    RecordedLink,
    ScriptedWorker,
    built_layer,
    call_through,
)

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/layers.md").read_text("utf-8")


def test_the_table_of_the_order_is_the_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+) \| (\w+) \|$", TEXT, re.MULTILINE)
    factories = sorted(SHIPPED, key=lambda factory: factory.shelf)
    assert rows == [
        (f.key, str(f.shelf), f.again, "work" if f.for_work else "all") for f in factories
    ]
    assert len({factory.shelf for factory in factories}) == len(factories)


def _section(key: str) -> str:
    """Return what the page says of a layer, with what its chapter says of all."""
    chapter = next(c for c in re.split(r"^## ", TEXT, flags=re.M) if f"### `{key}`\n" in c)
    head, *sections = re.split(r"^### ", chapter, flags=re.M)
    return head + next(s for s in sections if s.startswith(f"`{key}`\n"))


@pytest.mark.parametrize("factory", SHIPPED, ids=lambda factory: factory.key)
def test_the_section_of_a_layer_names_its_parameters(factory: LayerFactory[Any]) -> None:
    section = _section(factory.key)
    for name in factory.params.model_fields:
        assert f"`{name}`" in section, name


def _shown(value: float) -> str:
    mebibytes, rest = divmod(value, 1024 * 1024)
    return f"{mebibytes:g} MiB" if mebibytes and not rest else f"{value:g}"


NUMBERS = [
    (factory.key, name, _shown(field.default))
    for factory in SHIPPED
    for name, field in factory.params.model_fields.items()
    if isinstance(field.default, int | float) and not isinstance(field.default, bool)
]


@pytest.mark.parametrize(("key", "name", "default"), NUMBERS)
def test_the_section_of_a_layer_tells_what_holds_where_nothing_is_said(
    key: str, name: str, default: str
) -> None:
    assert re.search(rf"`{name}` \({default}\)", _section(key))


EXAMPLE = """
local flow = require "flow"
local writer = flow.lua "writer" {{ source = "return input", layers = {{ {layer} }} }}
local editor = flow.lua "editor" {{ source = "return input", tags = {{ "text" }} }}
return flow.blueprint {{
  id = "page",
  agents = {{ writer, editor }},
  flow = flow.seq {{
    flow.step {{ agent = writer, input = "{{ text = ctx.text }}", out = "ctx.wrote" }},
    flow.step {{ agent = editor }},
  }},
}}
"""


# What those who are asked say, by their seats.
REPLIES = {"ada": {"decision": "keep"}, "lead": {"veto": False}, "reviewer": "read twice"}


async def _ran(file: Path) -> Any:
    """Run a blueprint in a host with operators; return what its last step came to."""

    def saying(said: Any) -> Callable[[Order], Any]:
        return lambda order: said

    seats = {seat: saying(said) for seat, said in REPLIES.items()}
    async with Host.in_memory(operators=FakeOperators(seats), scripts="inline") as host:
        run = await host.start(await host.load(file), {"text": "tea"})
        return await run.result()


@pytest.mark.parametrize("factory", SHIPPED, ids=lambda factory: factory.key)
def test_the_example_of_a_layer_stands_around_a_step(
    factory: LayerFactory[Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    example = re.search(r"^```lua\n(.*?)```", _section(factory.key), re.M | re.S)
    assert example is not None
    file = tmp_path / "page.lua"
    file.write_text(EXAMPLE.format(layer=example[1].strip()))
    assert invoke(["check", "--layers", str(file)]) == 0
    rows = [line.split()[1:4] for line in capsys.readouterr().out.splitlines()]
    assert ["writer", str(factory.shelf), factory.key] in rows
    wrote = anyio.run(_ran, file)["wrote"]
    match factory.key:
        case "delegate":
            assert wrote == REPLIES["reviewer"]
        case "lua":
            assert wrote == {"text": "tea", "polite": True}
        case _:
            assert wrote == {"text": "tea"}


def test_the_layer_in_lua_is_one_that_runs() -> None:
    script = _section("lua").split("```lua\n")[2].split("```")[0]
    layer = built_layer(LUA, {"source": script})
    worker = ScriptedWorker(["x" * 101, "short"])
    link = RecordedLink()

    async def main() -> Any:
        return (await call_through(layer, worker, input="tell", link=link)).value

    assert anyio.run(main) == "short"
    assert link.texts == ["too long, once more"]
    assert worker.calls[1].input == {"text": "tell", "note": "at most 100 characters"}


def test_the_layer_of_your_own_works_as_the_page_says() -> None:
    layer, use = re.findall(r"```python\n(from .*?)```", TEXT, re.S)
    assert len(layer.strip().splitlines()) <= 30
    names: dict[str, Any] = {}
    exec(compile(layer, "layers.md", "exec"), names)  # noqa: S102 - it is our own page
    body = f"async def main():\n{textwrap.indent(use, '    ')}"
    exec(compile(body, "layers.md", "exec"), names)  # noqa: S102
    anyio.run(names["main"])


def test_the_blueprint_of_the_page_has_its_layers_and_runs(tmp_path: Path, capsys: Any) -> None:
    (script,) = re.findall(r"```lua\n(local writer.*?)```", TEXT, re.S)
    file = tmp_path / "page.lua"
    file.write_text(f'local flow = require "flow"\n{script}')
    assert invoke(["check", "--layers", str(file)]) == 0
    found = [line.split()[3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert found == ["retry", "timeout", "timeout"]
    assert anyio.run(_ran, file) == {"text": "tea"}
