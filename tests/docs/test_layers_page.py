"""docs/layers.md tells the layers there are, in their order, and its examples run."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import anyio

from swarm.cli.main import invoke
from swarm.middleware.shipped import SHIPPED

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/layers.md").read_text("utf-8")


def test_the_table_of_the_order_is_the_codes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \| (\w+) \| (\w+) \|$", TEXT, re.MULTILINE)
    factories = sorted(SHIPPED, key=lambda factory: factory.shelf)
    assert rows == [
        (f.key, str(f.shelf), f.again, "work" if f.for_work else "all") for f in factories
    ]
    assert len({factory.shelf for factory in factories}) == len(factories)


def test_every_layer_has_a_section_that_names_its_parameters() -> None:
    for factory in SHIPPED:
        section = re.search(rf"^### `{factory.key}`\n(.*?)(?=^##|\Z)", TEXT, re.M | re.S)
        assert section is not None, factory.key
        for name in factory.params.model_fields:
            assert f"`{name}`" in section[1], (factory.key, name)


def test_the_layer_of_your_own_works_as_the_page_says() -> None:
    layer, use = re.findall(r"```python\n(from .*?)```", TEXT, re.S)
    assert len(layer.strip().splitlines()) <= 30
    names: dict[str, Any] = {}
    exec(compile(layer, "layers.md", "exec"), names)  # noqa: S102 - it is our own page
    body = f"async def main():\n{textwrap.indent(use, '    ')}"
    exec(compile(body, "layers.md", "exec"), names)  # noqa: S102
    anyio.run(names["main"])


def test_the_blueprint_of_the_page_has_the_layers_it_asks_for(tmp_path: Path, capsys: Any) -> None:
    (script,) = re.findall(r"```lua\n(local writer.*?)```", TEXT, re.S)
    file = tmp_path / "page.lua"
    file.write_text(f'local flow = require "flow"\n{script}')
    assert invoke(["check", "--layers", str(file)]) == 0
    found = [line.split()[3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert found == ["retry", "timeout", "timeout"]
