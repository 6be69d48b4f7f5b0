"""Recordings: what is kept of a run, that no secret is, and where a changed blueprint departs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke

FLOW = """local flow = require "flow"
local w = flow.fn "w" { verdict = { "go", "stop" } }
local l = flow.fn "l"
return flow.blueprint {
  id = "r",
  agents = { w, l },
  flow = flow.seq {
    flow.step { agent = l, input = "ctx", out = "ctx.login" },
    flow.try {
      run = flow.step { agent = w, input = "ctx.login", out = "ctx.first" },
      error_at = "ctx.error",
      catch = flow.assign { at = "ctx.first", value = "'stop'" },
    },
    flow.fanout { over = "{ 1, 2, 3 }", as = "ctx.n", out = "ctx.all", collect = "ctx.x",
                  run = flow.step { agent = l, input = "{ n = ctx.n }", out = "ctx.x" } },
    flow.assign { at = "ctx.done", value = 'ctx.first == "stop"' },
  },
}
"""
# Each of them in a place of its own; the last is what swarm.toml calls a secret.
SECRETS = [
    "sk-abcdefghijklmnop1234",
    "ghp_abcdefghijklmnopqrstuvwxyz0123456789",
    "AKIAABCDEFGHIJKLMNOP",
    "hunter2-hunter2",
    "Bearer abcdefghijklmnop",
    "correct horse battery",
]
FUNCTIONS = f"""
def w(input):
    raise ValueError("refused {SECRETS[1]} {SECRETS[5]}")
def l(input):
    if "n" in input:
        return "lane " + str(input["n"]) + " {SECRETS[2]}"
    return {{"password": "{SECRETS[3]}", "said": "token: {SECRETS[4]}", "user": "ada"}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("THE_SECRET", SECRETS[5])
    (tmp_path / "r.lua").write_text(FLOW)
    (tmp_path / "f.py").write_text(FUNCTIONS)
    (tmp_path / "swarm.toml").write_text(
        '[functions]\nw = "f.py:w"\nl = "f.py:l"\n[secrets]\nhorse = "env:THE_SECRET"\n'
    )
    return tmp_path


def _record(*more: str) -> int:
    context = json.dumps({"key": SECRETS[0], "note": "kept", "say": SECRETS[5]})
    return invoke(["run", "r.lua", "--input", context, "--record", "rec.json", *more])


def _replay(folder: Path, *changes: tuple[str, str]) -> list[str]:
    text = FLOW
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    (folder / "r.lua").write_text(text)
    return ["test", "--replay", "rec.json"]


def test_no_secret_is_in_a_recording_nor_a_digest_of_one(folder: Path) -> None:
    assert _record("--store", ":memory:") == 0
    text = (folder / "rec.json").read_text()
    assert [secret for secret in SECRETS if secret in text] == []
    assert text.count("[redacted]") >= 4
    assert "kept" in text
    assert "ada" in text
    assert re.findall(r"[0-9a-f]{64}", text) == [json.loads(text)["digest"]]
    assert (folder / "rec.json").stat().st_mode & 0o077 == 0


def test_the_run_itself_has_them_so_the_test_above_can_fail(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert _record("--store", ":memory:") == 0
    said = capsys.readouterr().out
    assert SECRETS[0] in said
    assert SECRETS[3] in said


@pytest.mark.parametrize("store", [":memory:", "state"])
def test_an_unchanged_blueprint_replays_equal(
    store: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _record("--store", store) == 0
    capsys.readouterr()
    assert invoke(_replay(folder)) == 0
    assert capsys.readouterr().out == "r.lua: replays equal, 5 answers\n"


# What was changed, and where it is said to depart; none: it does the same.
CHANGES: list[tuple[str, str, str | None]] = [
    ('id = "r"', 'id = "s"', None),
    ("flow.seq {\n", 'flow.seq { flow.assign { at = "ctx.x", value = 1 },\n', "r.lua:8: "),
    ('    flow.assign { at = "ctx.done"', '    flow.seq {}, flow.assign { at = "ctx.done"', None),
    ("flow.seq {\n", "flow.seq {\n-- a comment\n", None),
    (
        'input = "ctx.login"',
        'input = "ctx.login.user"',
        "r.lua:10: replay.departed: step 'w': input: expected {",
    ),
    ('agent = l, input = "ctx",', 'agent = w, input = "ctx",', "r.lua:8: "),
    ("{ 1, 2, 3 }", "{ 1, 2, 4 }", "r.lua:15: replay.departed: step 'l': input.n: expected 3"),
    ("{ 1, 2, 3 }", "{ 1, 2 }", "r.lua:15: "),
    (
        "{ 1, 2, 3 }",
        "{ 1, 2, 3, 4 }",
        "r.lua:15: replay.departed: expected the end of the recording, got step 'l' with {'n': 4}",
    ),
    (
        'error_at = "ctx.error",\n',
        'error_at = "ctx.error", on = { "net.*" },\n',
        "r.lua:10: replay.departed: expected step 'l' as answer 3 of the recording, got the fail",
    ),
    (
        "value = 'ctx.first == \"stop\"'",
        "value = 'ctx.first == \"go\"'",
        "r.lua:16: replay.departed: the final context: ctx.done: expected true, got false",
    ),
    (
        'flow.fn "l"',
        'flow.fn "l" { output_schema = { type = "object" } }',
        "r.lua:15: replay.departed: agent.output: ",
    ),
    (
        'flow.assign { at = "ctx.done", value = \'ctx.first == "stop"\' }',
        'flow.fail("late.end", "no")',
        "r.lua:16: replay.departed: expected the recorded end, got late.end: no",
    ),
]


@pytest.mark.parametrize(("old", "new", "said"), CHANGES, ids=[new for _, new, _ in CHANGES])
def test_a_change_that_means_something_departs_on_its_line(
    old: str, new: str, said: str | None, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _record("--store", ":memory:") == 0
    capsys.readouterr()
    code = invoke(_replay(folder, (old, new)))
    shown = capsys.readouterr()
    assert code == (0 if said is None else 1), shown
    assert shown.out.startswith("r.lua: replays equal" if said is None else said)


def test_json_tells_the_departure(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _record("--store", ":memory:") == 0
    capsys.readouterr()
    assert invoke([*_replay(folder, ("{ 1, 2, 3 }", "{ 1, 2, 4 }")), "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["equal"], told["answers"], told["departure"]["line"]) == (False, 5, 15)


def test_a_run_that_fails_is_recorded_and_replays_equal(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "r.lua").write_text(FLOW.replace("{ 1, 2, 3 }", "ctx.nothing"))
    assert _record("--store", ":memory:") == 1
    assert json.loads((folder / "rec.json").read_text())["end"]["status"] == "failed"
    capsys.readouterr()
    assert invoke(["test", "--replay", "rec.json"]) == 0
    assert invoke(_replay(folder)) == 1


def test_a_run_whose_way_depends_on_a_secret_is_not_recorded_and_says_so(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "r.lua").write_text(
        FLOW.replace(
            "{ 1, 2, 3 }",
            f"filter({{ 1, 2 }}, function(n) return n == 1 or ctx.key == '{SECRETS[0]}' end)",
        )
    )
    assert _record("--store", ":memory:") == 1
    shown = capsys.readouterr()
    assert json.loads(shown.out)["done"] is True
    assert "nothing was recorded: recording.secret: " in shown.err
    assert not (folder / "rec.json").exists()


def test_a_run_that_waits_is_not_recorded(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "r.lua").write_text(FLOW.replace('flow.fn "w"', 'flow.ask "w"'))
    assert _record("--store", "state") == 3
    assert "recording.unended" in capsys.readouterr().err
    assert not (folder / "rec.json").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "expected a recording of a run, got: no such file or directory"),
        ("", "expected a recording of a run, got"),
        ("[]", "$: "),
        ('{"swarm_recording": 2}', "swarm_recording: "),
        ('{"swarm_recording": 1, "blueprint": "r"}', "digest: field required"),
    ],
)
def test_what_is_no_recording_is_a_sentence(
    text: str | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (folder / "rec.json").write_text(text)
    assert invoke(["test", "--replay", "rec.json"]) == 2
    assert f"recording.malformed: rec.json: {said}" in capsys.readouterr().err


@pytest.mark.parametrize("name", [".", "nowhere/rec.json"])
def test_where_nothing_can_be_kept_nothing_is_run(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert invoke(["run", "r.lua", "--record", name]) == 2
    shown = capsys.readouterr()
    assert shown.err.startswith("--record: expected a file in a folder that is there")
    assert shown.out == ""


@pytest.mark.parametrize("more", [["a", "b"], ["--update"], ["--watch"], ["--filter", "x"]])
def test_replay_goes_with_nothing_else(more: list[str]) -> None:
    assert invoke(["test", "--replay", "rec.json", *more]) == 2


def test_the_demo_replays_equal_and_a_change_of_it_departs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)
    kept = str(folder / "demo.json")
    demo = ["blueprints/review.lua", "--input", "@blueprints/data/review.json"]
    assert invoke(["run", *demo, "--store", ":memory:", "--record", kept]) == 0
    capsys.readouterr()
    assert invoke(["test", "--replay", kept]) == 0
    assert capsys.readouterr().out == "blueprints/review.lua: replays equal, 14 answers\n"
    text = (root / "blueprints/review.lua").read_text()
    changed = folder / "changed.lua"
    changed.write_text(text.replace("for round = 1, 5 do", "for round = 1, 3 do"))
    assert invoke(["test", "--replay", kept, str(changed)]) == 1
    said: Any = capsys.readouterr().out
    assert re.match(rf"{changed}:\d+: replay.departed: expected step 'readability'", said), said
