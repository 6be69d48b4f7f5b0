"""`swarm enhance`, as somebody would type it; the worked example is in tests/docs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke

TRIAGE = """local flow = require "flow"
local triage = flow.lua "triage" [[
  local text = input:lower()
  if text:find('refund') then return 'billing' end
  if text:find('crash') then return 'bug' end
  return 'other'
]]
local mailer = flow.process "mailer" { argv = { "cat" } }
return flow.blueprint {
  id = "triage",
  agents = { triage, mailer },
  flow = flow.seq {
    flow.step { agent = triage, input = "ctx.text", out = "ctx.queue" },
    flow.step { agent = mailer, input = "ctx.queue", out = "ctx.sent" },
  },
}
"""
# Four of them fail.
CASES = {
    "I want a refund": "billing",
    "Refund, please": "billing",
    "my invoice is wrong": "billing",
    "the price is wrong": "billing",
    "it will crash": "bug",
    "an error came up": "bug",
    "it is slow": "bug",
    "hello": "other",
    "thanks": "other",
    "good morning": "other",
}
SUITE = """local test = require "flow.test"
return test.suite {{
  blueprint = "triage.lua",
  answers = {{ triage = test.real, mailer = {{ "sent" }} }},
  cases = {{
{cases}
  }},
}}
"""
CASE = """    test.case "{name}" {{
      input = {{ text = "{name}" }}, expect = {{ test.ctx("ctx.queue", "{queue}") }},
    }},"""
SETTINGS = """[enhance]
gap_s = 0.0
per_hour = 10
issues_per_hour = 20
failures = 0
margin = 0.5
cases = { triage = "triage_test.lua" }
"""


class Shell:
    """A project, and what a command printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *words: str) -> tuple[int, str, str]:
        code = invoke(words)
        out, err = self._capsys.readouterr()
        return code, out, err

    def json(self, *words: str) -> tuple[int, Any]:
        code, out, err = self(*words, "--json")
        assert out, err
        return code, json.loads(out)


@pytest.fixture
def shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SWARM_AUTHOR", "ada")
    monkeypatch.delenv("SWARM_STORE", raising=False)
    cases = "\n".join(CASE.format(name=name, queue=queue) for name, queue in CASES.items())
    (tmp_path / "triage.lua").write_text(TRIAGE)
    (tmp_path / "triage_test.lua").write_text(SUITE.format(cases=cases))
    (tmp_path / "swarm.toml").write_text(SETTINGS)
    made = Shell(capsys)
    assert made("blueprint", "register", "triage.lua")[0] == 0
    return made


def test_a_prompt_waits_is_shown_as_a_review_and_is_approved(shell: Shell) -> None:
    code, view = shell.json("enhance", "submit", "triage", 'tell triage "be kind"')
    assert (code, view["state"]) == (1, "rejected")  # no gain, where the policy wants one
    settings = SETTINGS.replace("margin = 0.5", "margin = 0.0")
    Path("swarm.toml").write_text(settings)
    code, out, _ = shell("enhance", "submit", "triage", 'tell triage "be kind"')
    assert code == 3, out
    issue = out.splitlines()[0].split("(")[1].rstrip(")")
    code, out, _ = shell("enhance", "show", issue)
    assert out.index("✓ power") < out.index("its proposer says")
    assert "enhance.prompt_changed" in out
    code, out, _ = shell("enhance", "approve", issue)
    assert (code, "committed as triage@1.0.1" in out) == (0, True), out
    for verb in ("approve", "reject"):
        code, out, err = shell("enhance", verb, issue)
        assert (code, out) == (2, "")
        said = f"{issue}: expected an issue that waits for a person, got one that has ended"
        assert err == f"enhance.not_waiting: {said}\n"


def test_the_run_of_an_issue_goes_on_as_any_other(shell: Shell) -> None:
    """Its agents are the loop's, and what it may do is what the project says."""
    Path("swarm.toml").write_text(SETTINGS.replace("margin = 0.5", "margin = 0.0"))
    code, view = shell.json("enhance", "submit", "triage", 'tell triage "be kind"')
    issue = view["run"]
    assert (code, view["state"]) == (3, "waiting")
    code, out, err = shell("runs", "resume", issue)
    assert (code, out) == (3, "")
    assert "May this change of a blueprint be committed?" in err
    refused = '{"approve": false, "reason": "not kind at all"}'
    assert shell("runs", "answer", f"{issue}:1", refused)[0] == 0
    code, ctx = shell.json("runs", "resume", issue)
    assert (code, ctx["ctx"]["outcome"]["state"]) == (0, "rejected")
    (reason,) = ctx["ctx"]["outcome"]["reasons"]
    assert reason == "enhance.unapproved: a senior said no: not kind at all"
    code, out, _ = shell("enhance", "show", issue)
    assert "triage: rejected" in out


def test_a_frozen_loop_takes_no_issue_and_wrong_settings_are_told(shell: Shell) -> None:
    assert shell("enhance", "submit", "triage", "tag nobody with x")[0] == 1
    assert shell("enhance", "freeze")[0] == 0
    code, _, err = shell("enhance", "submit", "triage", "tag triage with x")
    assert (code, "enhance.frozen" in err) == (2, True)
    assert shell("enhance", "freeze", "--off")[0] == 0
    Path("swarm.toml").write_text("[enhance]\nper_our = 3\n")
    code, _, err = shell("enhance", "submit", "triage", "tag triage with x")
    assert (code, "per_our" in err) == (2, True)
