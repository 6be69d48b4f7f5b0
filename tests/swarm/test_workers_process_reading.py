"""What is read of a program's messages, and what is filled into what starts it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from flowir.errors import WorkerFailure
from swarm.blueprint.agent import AgentSpec
from swarm.ports.worker import Call, Usage
from swarm.workers.process.limits import Limits
from swarm.workers.process.order import Order
from swarm.workers.process.program import Program
from swarm.workers.process.reading import Found, Reading, reading_problems
from swarm.workers.process.settings import ProcessSettings
from swarm.workers.process.templates import (
    PLACEHOLDERS,
    Template,
    TemplateRefused,
    as_text,
    member,
)

# -- what is found -------------------------------------------------------------------------


def found(reading: Reading, *messages: Any) -> Found:
    made = Found(reading)
    for message in messages:
        made.take(message)
    return made


RESULTS: list[tuple[str, list[Any], Any]] = [
    ("last", ["a", "b"], "b"),
    ("last", ["a", ""], "a"),
    ("last", [""], ""),
    ("last", [None], None),
    ("all", ["a", "", "b"], ["a", "", "b"]),
    ("all", [], []),
    ("/r", [{"r": 1}, {"r": 2}, {}], 2),
    ("/r", [{"r": None}], None),
    ("/r/0", [{"r": [1]}, {"r": 5}, {"r": []}], 1),
    ("", [1, ""], ""),
]


@pytest.mark.parametrize(("result", "messages", "answer"), RESULTS)
def test_the_answer_is_where_the_agent_says(result: str, messages: list[Any], answer: Any) -> None:
    made = found(Reading(result=result), *messages)
    assert (made.has_result, made.result) == (True, answer)


def test_what_never_came_is_no_answer() -> None:
    assert not found(Reading()).has_result
    assert not found(Reading(result="/r"), {}, {"x": 1}, 5).has_result
    assert found(Reading(result="all")).has_result


@pytest.mark.parametrize(
    ("messages", "error"),
    [
        ([{}, 5], None),
        ([{"e": None}, {"e": False}], None),
        ([{"e": "bad"}, {}], "bad"),
        ([{"e": "bad"}, {"e": "worse"}], "worse"),
        ([{"e": "bad"}, {"e": False}], "bad"),
        ([{"e": 0}], None),
        ([{"e": 1}], 1),
    ],
)
def test_the_last_error_that_was_told_is_the_error(messages: list[Any], error: Any) -> None:
    made = found(Reading(error="/e"), *messages)
    assert made.error == error
    assert type(made.error) is type(error)
    assert found(Reading(), *messages).error is None


@pytest.mark.parametrize(
    ("progress", "message", "told"),
    [
        ("", "half", "half"), ("", {"a": 1}, '{"a":1}'), ("/p", {"p": "half"}, "half"),
        ("/p", {}, ""), ("/p", 5, ""), ("/p", {"p": None}, ""), (None, "half", ""),
    ],
)  # fmt: skip
def test_what_a_message_says_to_who_watches(progress: Any, message: Any, told: str) -> None:
    assert found(Reading(progress=progress)).told(message) == told


def test_what_was_used_is_the_sum_of_what_the_last_message_said() -> None:
    reading = Reading(tokens=("/in", "/out"), cost=("/usd",))
    made = found(reading, {"in": 1, "out": 2, "usd": 0.5}, {"in": 10}, {"x": 1})
    assert made.usage == Usage(10, 0.5)
    assert made.uncounted == []
    for nothing in ({"in": -1}, {"in": "5"}, {"in": True}, {"in": None}, {}, 5):
        none = found(reading, nothing)
        assert none.usage == Usage(0, 0.0)
        assert none.uncounted == ["/in", "/out", "/usd"]
    assert found(reading, {"in": 0}).uncounted == ["/usd"]
    most = found(reading, {"in": 10**15, "out": 1, "usd": 1e18}).usage
    assert most == Usage(10**15, 1e15)
    assert found(reading, {"in": 10**15}).usage.tokens == 10**15


def test_an_agent_s_settings_are_read_as_they_stand() -> None:
    assert Reading.of({}) == Reading("last", (), (), None, "")
    settings: Any = {
        "result": "/r", "usage": {"tokens": "/t", "cost": ["/a", "/b"]}, "error": "/e",
        "progress": False,
    }  # fmt: skip
    assert Reading.of(settings) == Reading("/r", ("/t",), ("/a", "/b"), "/e", None)
    assert Reading.of({"progress": "/p"}).progress == "/p"


POINTER = "expected a JSON Pointer such as '/data/text'"
JSON_ONLY = "expected an output of JSON for a pointer, got 'text'"
HINT = 'output = "json", "ndjson", "sse" or "frames" has members'

PROBLEMS: list[tuple[dict[str, Any], list[tuple[str, str, str, str | None]]]] = [
    ({}, []),
    ({"output": "ndjson", "result": "all", "progress": "/p", "error": "/e"}, []),
    ({"output": "ndjson", "progress": False, "usage": {"tokens": ["/a", "/b"]}}, []),
    ({"result": "last"}, []),
    ({"output": "lines", "result": ""}, []),
    (
        {"output": "jsn", "result": 5},
        [("process.output_form", "output", "expected one of 'text', ", None)],
    ),
    (
        {"result": "all"},
        [
            (
                "process.pointer", "result",
                "expected an output of several messages for 'all', got 'text'", None,
            )
        ],
    ),
    (
        {"output": "json", "result": "first"},
        [("process.pointer", "result", f"{POINTER} ('last' or 'all'), got 'first'", None)],
    ),
    ({"result": "/r"}, [("process.pointer", "result", JSON_ONLY, HINT)]),
    (
        {"output": "json", "progress": "/p"},
        [
            (
                "process.pointer", "progress",
                "expected an output of several messages, got 'json'", None,
            )
        ],
    ),
    (
        {"output": "ndjson", "progress": True},
        [("process.pointer", "progress", f"{POINTER} (or false), got true", None)],
    ),
    (
        {"output": "json", "error": 5},
        [("process.pointer", "error", f"{POINTER}, got 5", None)],
    ),
    (
        {"output": "json", "usage": {"token": "/t"}},
        [("process.pointer", "usage", "expected an object of 'tokens' and 'cost', got ", None)],
    ),
    (
        {"output": "json", "usage": "x"},
        [("process.pointer", "usage", "expected an object of 'tokens' and 'cost', got 'x'", None)],
    ),
    (
        {"output": "json", "usage": {"cost": ["/a", "b"]}},
        [("process.pointer", "usage.cost", f"{POINTER}, got 'b'", None)],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "problems"), PROBLEMS)
def test_what_is_wrong_with_how_an_output_is_read(
    settings: dict[str, Any], problems: list[tuple[str, str, str, str | None]]
) -> None:
    told = list(reading_problems(settings))
    assert len(told) == len(problems)
    for one, (code, field, said, hint) in zip(told, problems, strict=True):
        assert (one.code, one.field, one.hint) == (code, field, hint)
        assert one.message.startswith(said)


# -- templates -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "parts", "data_first"),
    [
        ("", ("",), False),
        ("plain", ("plain",), False),
        ("{{}}", ("{}",), False),
        ("{input}", ("", "input", ""), True),
        ("{workdir}", ("", "workdir", ""), False),
        ("{workdir}{input}", ("", "workdir", "", "input", ""), True),
        ("-{input}", ("-", "input", ""), False),
        ("{{{model}}}", ("{", "model", "}"), False),
        ("a{input.b-c.0}d{key}e", ("a", "input.b-c.0", "d", "key", "e"), False),
    ],
)
def test_a_template_is_texts_and_names_in_turns(
    text: str, parts: tuple[str, ...], data_first: bool
) -> None:
    made = Template.of(text)
    assert (made.parts, made.begins_with_data) == (parts, data_first)
    assert made.names == {name.partition(".")[0] for name in parts[1::2]}
    assert made.render(lambda name: f"<{name}>") == "".join(
        f"<{part}>" if number % 2 else part for number, part in enumerate(parts)
    )


BRACES = "write '{{' for '{' and '}}' for '}'"


@pytest.mark.parametrize(
    ("text", "said", "hint"),
    [
        ("a { b", "expected a placeholder or a brace written twice, got a lone '{'", BRACES),
        ("a } b", "expected a placeholder or a brace written twice, got a lone '}'", BRACES),
        ("{inputs}", "expected a placeholder, got '{inputs}'", "did you mean 'input'?"),
        ("{ input }", "expected a placeholder, got '{ input }'", "did you mean 'input'?"),
        ("{a: 1}", "expected a placeholder, got '{a: 1}'", BRACES),
        ("{}", "expected a placeholder, got '{}'", BRACES),
        ("{input.}", "expected a placeholder, got '{input.}'", "did you mean 'input'?"),
    ],
)
def test_what_is_no_template_says_what_to_write_instead(text: str, said: str, hint: str) -> None:
    with pytest.raises(TemplateRefused) as refused:
        Template.of(text)
    assert (str(refused.value), refused.value.hint) == (said, hint)


def test_a_value_is_a_text_where_one_is_due() -> None:
    values: list[Any] = ["a", None, 1, True, [1, "b"], {"a": None}]
    assert [as_text(one) for one in values] == ["a", "", "1", "true", '[1,"b"]', '{"a":null}']


def test_a_member_is_found_and_one_that_is_not_there_is_told() -> None:
    given: Any = {"a": [{"b": 5}], "c": None}
    assert member(given, "input") == given
    assert (member(given, "input.a.0.b"), member(given, "input.c")) == (5, None)
    for name in ("input.x", "input.a.1", "input.a.b", "input.c.d", "input.a.0.b.c"):
        with pytest.raises(WorkerFailure) as failed:
            member(given, name)
        assert (failed.value.code, failed.value.permanent) == ("process.placeholder", True)


# -- an order ------------------------------------------------------------------------------


def order(
    tmp_path: Path, given: Any = None, *, timeout_s: float | None = None, call: Any = None,
    secrets: Any = None, settings: ProcessSettings | None = None, **program: Any,
) -> Order:  # fmt: skip
    whole: dict[str, Any] = {"argv": (), **program}
    asked = Call("r_1", "$", "printer", given, timeout_s=timeout_s, **(call or {}))
    return Order(
        Program("printer", **whole), asked, settings or ProcessSettings(),
        workdir=tmp_path, secrets=secrets or {}, mark="m",
    )  # fmt: skip


def told(tmp_path: Path, given: Any = None, **more: Any) -> tuple[str, str]:
    with pytest.raises(WorkerFailure) as failed:
        order(tmp_path, given, **more)
    assert failed.value.permanent
    return failed.value.code, failed.value.message


def argv(*texts: str) -> tuple[Template, ...]:
    return tuple(map(Template.of, texts))


@pytest.mark.parametrize(
    ("form", "given", "stdin"),
    [
        ("text", "h\u00e9", "h\u00e9".encode()), ("text", None, b""), ("text", b"raw", b"raw"),
        ("json", {"a": 1}, b'{"a":1}'), ("json", None, b"null"), ("none", "x", b""),
    ],
)  # fmt: skip
def test_stdin_is_the_input_as_the_agent_wants_it(
    tmp_path: Path, form: str, given: Any, stdin: bytes
) -> None:
    assert order(tmp_path, given, input=form).stdin == stdin
    shaped = (
        order(tmp_path, given, input=form, stdin=Template.of("<{input}>"))
        if (not isinstance(given, bytes))
        else None
    )
    if shaped is not None:
        assert shaped.stdin == f"<{as_text(given)}>".encode()


def test_an_input_that_is_no_text_is_refused_for_one_who_wants_text(tmp_path: Path) -> None:
    assert told(tmp_path, {"a": 1}, input="text") == (
        "process.input",
        (
            "process 'printer': expected a string as input, got object {'a': 1} \u2014 "
            'input = "json" sends any value'
        ),
    )


def test_what_is_filled_in_is_what_there_is(tmp_path: Path) -> None:
    spec = AgentSpec("printer", "process", {"instructions": "be brief", "model": "m1"})
    texts = argv(
        "{input.a}", "{model}", "{instructions}", "{workdir}", "{folder}", "{step}", "{timeout_s}",
        "{secrets_fd}", "{key}", "{run_id}", "{attempt}", "{agent}",
    )  # fmt: skip
    made = order(tmp_path, {"a": "x"}, argv=texts, input="json", timeout_s=2.5,
                 call={"spec": spec, "attempt": 3})  # fmt: skip
    at = str(tmp_path)
    assert list(made.launch.argv) == [
        "x", "m1", "be brief", at, at, "$", "2.5", "3", "$", "r_1", "3", "printer",
    ]  # fmt: skip
    assert made.timeout_s == 2.5
    plain = order(tmp_path, "", argv=argv("{model}", "{timeout_s}", "{step}"),
                  settings=ProcessSettings(timeout_s=None), call={"node_id": "n"})  # fmt: skip
    assert list(plain.launch.argv) == ["", "", "n"]


def test_an_input_file_is_written_once_as_the_agent_wants_it(tmp_path: Path) -> None:
    text = order(tmp_path, "hi", argv=argv("{input_file}", "{input_file}"))
    assert list(text.launch.argv) == [str(tmp_path / "input.txt")] * 2
    assert (tmp_path / "input.txt").read_bytes() == b"hi"
    assert text.stdin == b""
    (tmp_path / "input.txt").unlink()
    for given, form in (({"a": 1}, "text"), ("hi", "json")):
        made = order(tmp_path, given, argv=argv("{input_file}"), input=form)
        assert list(made.launch.argv) == [str(tmp_path / "input.json")]
        assert json.loads((tmp_path / "input.json").read_bytes()) == given
        (tmp_path / "input.json").unlink()


def test_a_value_is_no_option_unless_somebody_said_so(tmp_path: Path) -> None:
    code, said = told(tmp_path, "-rf", argv=argv("rm", "{input}"))
    assert code == "process.argument"
    assert said == (
        "process 'printer': argv[1]: expected a value that is no option, got '-rf' \u2014 "
        "put '--' before it, or write '--name={input}'"
    )
    for fine in (argv("rm", "--", "{input}"), argv("rm", "--name={input}"), argv("-x")):
        assert len(order(tmp_path, "-rf", argv=fine).launch.argv) == len(fine)


def test_an_argument_is_text_of_a_length_that_a_system_takes(tmp_path: Path) -> None:
    longest = 128 * 1024 - 1
    one = argv("{input}")
    assert len(order(tmp_path, "x" * longest, argv=one).launch.argv[0]) == longest
    code, said = told(tmp_path, "\u00e9" * (longest // 2) + "xx", argv=one)
    assert code == "process.argument"
    assert said == (
        f"process 'printer': argv[0]: expected at most {longest} bytes, got {longest + 1} \u2014 "
        "large data goes by stdin, or as {input_file}"
    )
    assert told(tmp_path, "a\0b", argv=one)[1].endswith("argv[0]: expected text without a NUL")
    env = {"AB": Template.of("{input}")}
    assert order(tmp_path, "x" * (longest - 3), env=env).launch.env["AB"] == "x" * (longest - 3)
    assert "env.AB: expected at most" in told(tmp_path, "x" * (longest - 2), env=env)[1]


@pytest.mark.parametrize(
    ("timeout_s", "cpu_s", "expected"), [(2.9, None, 8), (None, None, None), (2.0, 3, 3)]
)
def test_processor_time_is_bounded_by_the_time_that_there_is(
    tmp_path: Path, timeout_s: float | None, cpu_s: int | None, expected: int | None
) -> None:
    limits = Limits() if cpu_s is None else Limits().changed({"cpu_s": cpu_s})
    settings = ProcessSettings(timeout_s=None)
    made = order(tmp_path, "", timeout_s=timeout_s, limits=limits, settings=settings)
    assert made.launch.limits.cpu_s == expected


def test_secrets_come_before_the_input_or_on_a_pipe_of_their_own(tmp_path: Path) -> None:
    first = order(tmp_path, "in", secrets={"k": "v"}, secrets_to="stdin")
    assert first.stdin.endswith(b"in")
    assert b"v" in first.stdin[:-2]
    assert first.launch.secrets is None
    apart = order(tmp_path, "in", secrets={"k": "v"}, secrets_to="fd")
    assert apart.stdin == b"in"
    assert apart.launch.secrets == first.stdin[:-2]
    none = order(tmp_path, "in", secrets_to="fd")
    assert (none.stdin, none.launch.secrets) == (b"in", None)


def test_what_comes_from_the_run_is_known_of_each_placeholder() -> None:
    ours = {
        "input_file", "agent", "workdir", "folder", "run_id", "step", "key", "attempt",
        "idempotency_key", "timeout_s", "secrets_fd",
    }  # fmt: skip
    assert PLACEHOLDERS.keys() - ours == {"input", "model", "instructions"}
    for name in PLACEHOLDERS:
        assert Template.of(f"{{{name}}}").begins_with_data is (name not in ours), name
        assert not Template.of(f"--x={{{name}}}").begins_with_data
    assert Template.of("{input.a.b}").begins_with_data
    assert Template.of("{folder}{input}").begins_with_data, "what is ours may be nothing"
    assert not Template.of("").begins_with_data


def test_a_program_works_where_its_agent_says_and_has_a_directory_of_its_own(
    tmp_path: Path,
) -> None:
    here, elsewhere = tmp_path / "own", tmp_path / "folder"
    for cwd, expected in ((None, here), (elsewhere, elsewhere)):
        launch = order(here, "", cwd=cwd).launch
        assert (launch.cwd, launch.workdir) == (expected, here)


def test_more_secrets_than_a_pipe_takes_are_refused(tmp_path: Path) -> None:
    most = 60 * 1024
    secrets = {"key": "x" * most}
    size = most + len('{"key": ""}\n')
    assert told(tmp_path, "", secrets=secrets, secrets_to="fd") == (
        "process.secrets",
        f"process 'printer': expected at most {most} bytes of secrets, got {size}",
    )
