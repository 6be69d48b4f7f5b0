"""`swarm init`: a small project that passes its own tests."""

from __future__ import annotations

import json
from pathlib import Path

import click

from swarm.cli.exits import Exit, WrongUse, print_result
from swarm.cli.stubs import MODULES, stub_of

__all__ = ("command", "project_files")

_BLUEPRINT = """\
-- Writes a draft until its critic is content. Run it:  swarm run draft.lua --set topic=tea
local flow = require "flow"

local writer = flow.lua "writer" [[
  local text = input.draft or "A few words on " .. input.topic .. "."
  return input.draft and text .. " And a few more." or text
]]

local critic = flow.lua "critic" {
  source = [[ return #input > 40 and "PASS" or "LONGER" ]],
  verdict = { "PASS", "LONGER" },
}

return flow.blueprint {
  id = "draft",
  agents = { writer, critic },
  flow = function(ctx)
    local topic = ctx.topic or "patience"
    ctx.draft = writer { topic = topic }
    for _ = 1, 3 do
      ctx.verdict = critic(ctx.draft)
      if ctx.verdict == "PASS" then break end
      ctx.draft = writer { topic = topic, draft = ctx.draft }
    end
  end,
}
"""
_TEST = """\
-- What the flow does, whatever its agents answer. Run it:  swarm test
local test = require "flow.test"

return test.suite {
  blueprint = "draft.lua",
  cases = {
    test.case "a draft that its critic likes is left alone" {
      answers = { writer = { "one" }, critic = { "PASS" } },
      expect = {
        test.path { "writer", "critic" },
        test.input("writer", 1, { topic = "patience" }),
        test.ctx("ctx.draft", "one"),
      },
    },
    test.case "a draft is mended until its critic is content" {
      input = { topic = "tea" },
      answers = { writer = { "one", "two" }, critic = { "LONGER", "PASS" } },
      expect = {
        test.input("writer", 2, { topic = "tea", draft = "one" }),
        test.ctx("ctx.draft", "two"),
      },
    },
    test.case "writer and critic come to an end by themselves" {
      answers = { writer = test.real, critic = test.real },
      expect = { test.ctx("ctx.verdict", "PASS") },
    },
  },
}
"""
_PROJECT = """\
# What `swarm` knows of this project.

# Python functions for agents made with flow.fn: a file here, and the function in it.
[functions]
# shout = "tools.py:shout"
"""
# What a flow function may use beside Lua's own.
_GLOBALS = ("array", "copy", "limit", "null", "parallel")
_LUACHECK = f"""\
std = "lua54"
read_globals = {{ {", ".join(f'"{name}"' for name in _GLOBALS)} }}
exclude_files = {{ "types" }}
"""


def project_files() -> dict[str, str]:
    """Return the files of a new project, by their paths."""
    editor = {
        "runtime": {"version": "Lua 5.4"},
        "workspace": {"library": ["types"]},
        "diagnostics": {"globals": list(_GLOBALS)},
    }
    stubs = {f"types/{name.replace('.', '/')}.lua": stub_of(name) for name in MODULES}
    return {
        "draft.lua": _BLUEPRINT,
        "draft_test.lua": _TEST,
        "swarm.toml": _PROJECT,
        ".luarc.json": json.dumps(editor, indent=2) + "\n",
        ".luacheckrc": _LUACHECK,
        ".gitignore": ".swarm/\n",
        **stubs,
    }


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".")
def command(folder: str) -> int:
    """Make a small project in DIR (the working directory): a blueprint and its test.

    DIR must be empty, or not there yet.
    """
    if not folder:
        raise WrongUse("DIR: expected a folder's name, got ''")
    path = Path(folder)
    if path.exists() and not path.is_dir():
        raise WrongUse(f"{folder}: expected a folder, got something else")
    if path.is_dir() and any(path.iterdir()):
        raise WrongUse(f"{folder}: expected an empty folder, got one with files in it")
    try:
        for name, text in project_files().items():
            file = path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
            print_result(str(file))
    except OSError as error:
        raise WrongUse(f"{folder}: cannot be written to: {error.strerror or error}") from None
    return Exit.OK
