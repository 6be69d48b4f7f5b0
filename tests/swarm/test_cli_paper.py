"""What people read on a terminal: nothing is wider than it, nothing is lost, pipes stay lines."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len

from swarm.cli.main import invoke
from swarm.cli.paper import columns, fold, folded_for

ROOT = Path(__file__).parents[2]
_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|\][^\x07]*\x07|[=>])")
WORDS = st.text(st.sampled_from("ab├│└─ \u6587é.:"), max_size=200)


@given(WORDS, st.integers(20, 120), st.integers(0, 40))
@example(" " + ":" * 20, 20, 0)
def test_a_folded_line_fits_and_loses_nothing_but_blanks(line: str, width: int, hang: int) -> None:
    lines = fold(line, width, hang)
    assert all(cell_len(one) <= width for one in lines)
    plain = re.sub(r"[\s│├└─]", "", line)
    assert re.sub(r"[\s│├└─]", "", "".join(lines)) == plain


def test_a_line_that_fits_stays_as_it_is() -> None:
    assert fold("a  b   c", 20) == ["a  b   c"]


def test_words_are_kept_whole_and_what_goes_on_is_indented() -> None:
    assert fold("one two three four five six", 20, 2) == ["one two three four", "  five six"]


def test_a_branch_goes_on_below_itself() -> None:
    assert fold("│   ├── a long one that does not fit", 24, 2)[1].startswith("│   │     ")
    assert fold("│   └── a long one that does not fit", 24, 2)[1].startswith("│         ")


def test_a_word_that_fits_no_line_is_broken() -> None:
    assert fold("x" * 50, 20, 4) == ["x" * 16, "    " + "x" * 16, "    " + "x" * 16, "    xx"]


ROWS = [
    ("a1", "waiting", "review", "2026-11-26 21:55:06", ""),
    ("second", "succeeded", "\u6587", "2026-11-26 21:54:12", "3.20 s"),
]


def test_records_of_a_list_stand_in_columns() -> None:
    assert columns(ROWS) == [
        "a1      waiting    review  2026-11-26 21:55:06",
        "second  succeeded  \u6587      2026-11-26 21:54:12  3.20 s",
    ]
    assert columns(ROWS, 80) == columns(ROWS)


def test_on_a_narrow_terminal_all_records_go_on_at_one_column() -> None:
    assert columns(ROWS, 40) == [
        "a1      waiting    review",
        "    2026-11-26 21:55:06",
        "second  succeeded  \u6587",
        "    2026-11-26 21:54:12  3.20 s",
    ]
    assert columns([], 40) == []


CELLS = st.lists(st.lists(WORDS, min_size=3, max_size=3), max_size=5)


@given(CELLS, st.none() | st.integers(20, 120))
def test_columns_lose_nothing_but_blanks(rows: list[list[str]], width: int | None) -> None:
    plain = "".join("".join(row) for row in rows)
    assert "".join("".join(columns(rows, width)).split()) == "".join(plain.split())


# -- the commands, in a real terminal ------------------------------------------------------

LONG = "a sentence that goes on and on, and has-one-word-of-it-that-is-longer-than-any-line-" * 3
BLUEPRINT = f"""
local flow = require "flow"
local breaker = flow.lua "breaker" [[ swarm.fail("letters.too_long", "{LONG}") ]]
local speaker = flow.lua "speaker" [[ swarm.progress("{LONG}") return 1 ]]
local asker = flow.ask "asker" {{ prompt = "{LONG}" }}
return flow.blueprint {{
  id = "letters", agents = {{ breaker, speaker, asker }},
  flow = function(ctx)
    for round = 1, 2 do ctx.n = speaker(round) pcall(breaker, round) end
    ctx.said = asker(ctx.n)
  end,
}}
"""
WRONG = BLUEPRINT.replace("speaker(round)", "x" * 90 + "(round)")
COMMANDS = (
    ("runs", "list"),
    ("runs", "show", "first"),
    ("runs", "events", "first"),
    ("runs", "questions"),
    ("check", "wrong.lua"),
    ("audit", "log"),
    ("token", "inspect", "--token-file", "a.token"),
    ("enhance", "list"),
    ("enhance", "show", "ISSUE"),
    ("blueprint", "log", "letters"),
    ("run", "letters.lua", "--run-id", "RUN"),
)
DRIVER = """
import json, sys
from swarm.cli.main import invoke
for command in json.loads(sys.argv[1]):
    print("#", *command, flush=True)
    invoke(command)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store with a run that waits, a token, an entry and an issue, all with long words."""
    folder = tmp_path_factory.mktemp("letters")
    (folder / "letters.lua").write_text(BLUEPRINT)
    (folder / "wrong.lua").write_text(WRONG)
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert invoke(["run", "letters.lua", "--run-id", "first"]) == 3
        assert invoke(["blueprint", "register", "letters.lua", "--reason", LONG]) == 0
        assert invoke(["enhance", "submit", "letters", LONG]) == 1
    finally:
        os.chdir(before)
    for name, command in (
        ("a.token", ["token", "mint", "ada", "--role", "senior"]),
        ("issues", ["enhance", "list", "--json"]),
    ):
        (folder / name).write_bytes(_plain(folder, command))
    return folder, json.loads((folder / "issues").read_text())["run"]


def _plain(folder: Path, command: list[str]) -> bytes:
    run = [sys.executable, "-c", DRIVER, json.dumps([command])]
    done = subprocess.run(run, cwd=folder, capture_output=True, check=True, timeout=100)  # noqa: S603
    return done.stdout.split(b"\n", 1)[1]


def _shown(folder: Path, commands: list[list[str]], columns: int, *, colours: bool) -> str:
    """Run commands in a terminal of so many columns, and return all that it was sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    kept = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES", "NO_COLOR")}
    environment = {**kept, "TERM": "xterm-256color"} | ({} if colours else {"NO_COLOR": "1"})
    process = subprocess.Popen(  # noqa: S603 - our own interpreter
        [sys.executable, "-c", DRIVER, json.dumps(commands)],
        cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    said = bytearray()
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        said += part
    os.close(ours)
    assert process.wait(timeout=100) == 0
    return said.decode()


@pytest.mark.parametrize("colours", [True, False], ids=["colours", "plain"])
@pytest.mark.parametrize("columns", [60, 80, 160])
def test_nothing_is_wider_than_the_terminal(
    project: tuple[Path, str], columns: int, colours: bool
) -> None:
    folder, issue = project
    run = f"r{columns}{colours}"
    commands = [[{"ISSUE": issue, "RUN": run}.get(w, w) for w in words] for words in COMMANDS]
    said = _shown(folder, commands, columns, colours=colours)
    lines = re.split(r"[\r\n]+", _ESCAPES.sub("", said))
    wide = [line for line in lines if cell_len(line) > columns and not line.startswith("# ")]
    assert wide == []
    assert ("\x1b[32m" in said) == colours
    whole = re.sub(r"[\s│├└─]", "", "".join(lines))
    assert re.search(r"wrong\.lua:9:plain\.refused:'x{90}'", whole)  # no word is cut off
    assert re.sub(r"\s", "", f"? first:1 {LONG}") in whole


def test_a_pipe_gets_a_line_for_each_record(project: tuple[Path, str]) -> None:
    folder, issue = project
    rows = _plain(folder, ["runs", "list"]).splitlines()
    assert len(rows) == len(_plain(folder, ["runs", "list", "--json"]).splitlines())
    assert LONG.encode()[:200] in _plain(folder, ["enhance", "show", issue])


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \t caf\u00e9 \U0001f41d", "plain \t caf\u00e9 \U0001f41d"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\rover", "\\rover"),
        ("a\u202eb", "a\\u202eb"),
        ("\x9b2J", "\\x9b2J"),
    ],
)
def test_what_would_move_the_cursor_or_turn_the_line_is_spelled_out(text: str, shown: str) -> None:
    assert folded_for(io.StringIO(), [text]) == [shown]


def test_lines_that_end_as_windows_ends_them_are_lines() -> None:
    assert folded_for(io.StringIO(), ["a\r\nb\r"]) == ["a", "b"]
