"""Every fenced block of every page is run, and says by which test.

`tests/acceptance/test_walked_pages.py` walks pages whole; of the other pages each block stands
in the table below. A block that is added fails a test until it is there.
Blocks of `text` are pictures, tables and layouts: a command in one would be an example.
"""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import anyio
import pytest

import swarm
from swarm.cli.main import invoke as swarm_main
from tests.acceptance.walking import (
    ROOT,
    Walk,
    blocks_of,
    pages_beside_hello,
    pages_that_are_walked,
)
from tests.fuzz import plants

DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)

# A file of tests/docs, and a test in it; a block that only shows something says what.
_HERE = "test_every_example::"
_LAYER = "test_layers_page::test_the_example_of_a_layer_stands_around_a_step"
_KINDS = "test_project_page::test_a_blueprint_runs_in_a_project_with_every_file_of_the_docs"
_ENHANCE = "test_enhance_page::test_five_issues_end_as_the_page_says_and_then_a_bad_canary"
RUN_BY: dict[str, list[tuple[str, str]]] = {
    "README.md": [
        ("lua", "test_readme::test_its_first_blueprint_is_the_one_in_the_repository"),
        ("console", "test_readme::test_its_first_command_prints_what_it_shows"),
        ("sh", "test_readme::test_what_it_says_to_try_is_tried"),
        ("console", "test_readme::test_its_mistake_is_reported_as_it_shows"),
        ("python", "test_readme::test_its_python_example_runs"),
    ],
    "docs/architecture.md": [
        ("text", "rooms"), ("text", "order"), ("text", "a script's way"), ("text", "a step's way"),
    ],
    "docs/audit.md": [
        ("console", f"{_HERE}test_the_log_is_printed_as_the_page_on_it_shows"),
        ("json", f"{_HERE}test_a_checkpoint_has_the_members_that_the_page_shows"),
    ],
    "docs/blueprints.md": [
        ("lua", "test_blueprints_page::test_example_runs"),
        ("toml", _KINDS),
        ("markdown", f"{_HERE}test_the_agent_in_markdown_does_a_step"),
        ("lua", "test_blueprints_page::test_example_runs"),
        ("lua", "test_blueprints_page::test_example_runs"),
        ("json", "test_blueprints_page::test_example_runs"),
    ],
    "docs/capability.md": [
        ("console", f"{_HERE}test_the_commands_of_the_page_on_tokens_do_what_it_says"),
        ("python", f"{_HERE}test_the_table_of_roles_of_the_page_is_one"),
        ("text", "the form of a token"),
        ("python", f"{_HERE}test_the_guest_of_the_page_is_judged"),
    ],
    "docs/durability.md": [("text", "the table of states"), ("toml", _KINDS)],
    "docs/enhance.md": [
        ("python", "test_enhance_page::test_an_issue_is_applied"),
        ("text", "an issue's way"), ("lua", _ENHANCE), ("lua", _ENHANCE), ("toml", _ENHANCE),
        ("console", _ENHANCE), ("python", _ENHANCE), ("text", _ENHANCE),
    ],
    "docs/flow-ir.md": [
        ("json", "test_flow_ir_page::test_flow_ends_as_the_page_says"),
        ("lua", "test_flow_ir_page::test_expression_gives_what_the_page_says"),
        *[("json", "test_flow_ir_page::test_flow_ends_as_the_page_says")] * 7,
        ("python", f"{_HERE}test_the_machine_of_the_page_goes_this_way"),
    ],
    "docs/layers.md": [
        ("python", f"{_HERE}test_a_host_is_made_as_a_page_shows"),
        ("toml", _KINDS),
        ("lua", "test_layers_page::test_the_blueprint_of_the_page_has_its_layers_and_runs"),
        *[("lua", _LAYER)] * 10,
        ("lua", "test_layers_page::test_the_layer_in_lua_is_one_that_runs"),
        *[("lua", _LAYER)] * 4,
        ("python", "test_layers_page::test_the_layer_of_your_own_works_as_the_page_says"),
        ("python", "test_layers_page::test_the_layer_of_your_own_works_as_the_page_says"),
    ],
    "docs/operator-protocol.md": [
        ("text", "test_operator_protocol_page::test_the_example_session_is_one_that_both"),
    ],
    "docs/plain-lua.md": [("lua", "test_plain_lua_page::test_the_example_runs")],
    "docs/processes.md": [
        ("lua", "test_processes_page::test_the_example_runs"),
        ("python", f"{_HERE}test_a_host_is_made_as_a_page_shows"),
        ("toml", _KINDS),
    ],
    "docs/project.md": [("toml", "test_project_page::test_the_page_shows_every_key")],
    "docs/reference/lua.md": [
        *[("lua", "test_reference_lua::test_what_is_shown_of_flows_runs")] * 21,
        *[("lua", "test_reference_lua::test_what_is_shown_of_tests_is_read")] * 19,
    ],
    "docs/sandbox.md": [
        ("python", f"{_HERE}test_a_host_is_made_as_a_page_shows"),
        ("sh", f"{_HERE}test_the_fuzzers_are_started_as_the_page_says"),
    ],
    "docs/testing-flows.md": [
        *[("lua", "test_testing_flows_page::test_all_its_tests_pass_and_leave_nothing_out")] * 2,
        ("console", "test_testing_flows_page::test_the_commands_print_what_the_page_shows"),
        ("lua", "test_testing_flows_page::test_all_its_tests_pass_and_leave_nothing_out"),
        ("python", "test_testing_flows_page::test_its_python_example_passes"),
        ("text", "a line that is printed"),
    ],
}  # fmt: skip
_WALKED = [*pages_that_are_walked(), *pages_beside_hello()]
_PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]


def _blocks(page: str, info: str) -> list[str]:
    text = (ROOT / page).read_text("utf-8")
    return [found[2] for found in _FENCE.finditer(text) if found[1] == info]


def _unaccounted(page: str, text: str) -> str | None:
    """Return what is wrong with the list of a page's blocks."""
    there = [(found[1].split() or ["no word"])[0] for found in _FENCE.finditer(text)]
    listed = RUN_BY.get(page, [])
    if there != [info for info, _ in listed]:
        return f"{page}: expected {[info for info, _ in listed]}, got {there}"
    for found, (info, by) in zip(_FENCE.finditer(text), listed, strict=True):
        if "::" not in by and (info != "text" or re.search(r"^\$ ", found[2], re.MULTILINE)):
            return f"{page}: nobody runs {found[2].splitlines()[0]!r}"
    return None


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: page.stem)
def test_every_block_of_a_page_is_run_by_somebody(page: Path) -> None:
    if page not in _WALKED:
        assert _unaccounted(str(page.relative_to(ROOT)), page.read_text("utf-8")) is None


def test_a_block_that_is_added_is_noticed() -> None:
    text = (DOCS / "project.md").read_text("utf-8")
    assert _unaccounted("docs/project.md", text) is None
    for more in ("```python\nassert False\n```\n", "```\n$ swarm nothing\n```\n"):
        assert _unaccounted("docs/project.md", f"{text}\n{more}") is not None


def test_who_runs_a_block_is_there() -> None:
    for rows in RUN_BY.values():
        for _, by in rows:
            file, found, name = by.partition("::")
            body = (ROOT / f"tests/docs/{file}.py").read_text("utf-8") if found else name
            assert f"def {name}" in body or not found, by


# -- console ------------------------------------------------------------------------------


def _walked(page: str, tmp_path: Path) -> None:
    """Walk the commands of a page, beside the README's first blueprint."""
    (tmp_path / "blueprints").mkdir()
    hello = (ROOT / "blueprints/hello.lua").read_bytes()
    (tmp_path / "blueprints/hello.lua").write_bytes(hello)
    with Walk(tmp_path).within() as walk:
        for block in blocks_of((ROOT / page).read_text("utf-8")):
            if block.info == "console":
                walk.take(block)


def test_the_commands_of_the_page_on_tokens_do_what_it_says(tmp_path: Path) -> None:
    _walked("docs/capability.md", tmp_path)


def test_the_log_is_printed_as_the_page_on_it_shows(tmp_path: Path) -> None:
    _walked("docs/audit.md", tmp_path)


def test_a_checkpoint_has_the_members_that_the_page_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hello = str(ROOT / "blueprints/hello.lua")
    store = ("--store", str(tmp_path / "s"))
    assert swarm_main(["run", hello, "--set", "name=Ada", *store]) == 0
    capsys.readouterr()
    assert swarm_main(["audit", "checkpoint", *store]) == 0
    (shown,) = _blocks("docs/audit.md", "json")
    assert [*json.loads(capsys.readouterr().out)] == [*json.loads(shown)]


def test_the_fuzzers_are_started_as_the_page_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each command with all that it says, but for how long it goes on: a few scripts each."""
    monkeypatch.chdir(tmp_path)
    soon = [one for one in plants.PLANTS if one.name == "tostring shows addresses"]
    monkeypatch.setattr(plants, "PLANTS", soon)
    (block,) = _blocks("docs/sandbox.md", "sh")
    for line in block.splitlines():
        python, dash_m, name, *words = shlex.split(line)
        assert (python, dash_m) == ("python", "-m")
        module = import_module(name)
        campaign = module.campaign

        def brief(*seed: int, campaign: Any = campaign, **given: Any) -> Any:
            assert given.pop("seconds", 1) > 0
            return campaign(*seed, **{**given, "most": min(given.get("most") or 5, 5)})

        monkeypatch.setattr(module, "campaign", brief)
        monkeypatch.setattr(sys, "argv", [name, *words])
        assert module.main() == 0, capsys.readouterr().out
    assert (tmp_path / "found.jsonl").read_text() == ""
    said = capsys.readouterr().out
    assert said.count("survived") == 2
    assert said.count("found after") == 1


# -- Python -------------------------------------------------------------------------------


@pytest.mark.parametrize("page", ["docs/layers.md", "docs/processes.md", "docs/sandbox.md"])
def test_a_host_is_made_as_a_page_shows(page: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {
        "swarm": swarm,
        "source": "return 1",
        "value": "a long secret",
        "host": None,
    }
    names["host"] = swarm.Host.in_memory()
    exec(_blocks(page, "python")[0], names)  # noqa: S102 - it is our own page
    assert isinstance(names["host"], swarm.Host)


def test_the_table_of_roles_of_the_page_is_one(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    exec(_blocks("docs/capability.md", "python")[0], {"swarm": swarm})  # noqa: S102


def test_the_guest_of_the_page_is_judged() -> None:
    # It waits until it is cancelled.
    agents = [{"name": "ada", "kind": "human"}]
    flow = {"kind": "step", "ref": "ada", "in": {"op": "lit", "value": 1}}
    document = {"swarm": 1, "id": "wait", "agents": agents, "flow": flow}

    async def judged(role: str) -> None:
        async with swarm.Host.in_memory() as host:
            token, blueprint = host.tokens.mint("ada", role), await host.load(document)
            await _cell(
                _blocks("docs/capability.md", "python")[1],
                {"host": host, "token": token, "blueprint": blueprint},
            )

    anyio.run(judged, "operator")
    with pytest.raises(swarm.Denied):
        anyio.run(judged, "observer")


async def _cell(text: str, names: dict[str, Any]) -> None:
    code = compile(text, "page.py", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    waits = eval(code, names)  # noqa: S307 - it is our own page
    if code.co_flags & inspect.CO_COROUTINE:
        await waits


def test_the_machine_of_the_page_goes_this_way() -> None:
    (text,) = _blocks("docs/flow-ir.md", "python")
    exec(text, {})  # noqa: S102 - it is our own page


# -- Lua and Markdown ---------------------------------------------------------------------


def test_the_agent_in_markdown_does_a_step(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "critic.md").write_text(_blocks("docs/blueprints.md", "markdown")[0])
    (tmp_path / "critic.lua").write_text('return { verdict = #input > 3 and "PASS" or "LONGER" }')
    (tmp_path / "b.lua").write_text(
        'local flow = require "flow"\n'
        'local critic = flow.agent_md "critic.md"\n'
        'return flow.blueprint { id = "b", agents = { critic },\n'
        '  flow = flow.step { agent = "critic", input = "ctx.text", out = "ctx.said" } }\n'
    )
    assert swarm_main(["run", str(tmp_path / "b.lua"), "--set", "text=plain"]) == 0
    assert json.loads(capsys.readouterr().out)["said"] == {"verdict": "PASS"}
