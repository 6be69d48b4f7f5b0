"""Agents in Markdown: what of the front matter goes where, and what is not read at all."""

from __future__ import annotations

import time
from typing import Any

import pytest

from swarm.blueprint.agent_file import AgentFileRefused, read_agent_file

FIELDS = frozenset({"source"})


def agent(front: str, body: str = "", fields: frozenset[str] | None = FIELDS) -> dict[str, Any]:
    settings, _, found = read_agent_file(f"---\n{front}\n---\n{body}").agent("stem", fields)
    assert found == []
    return settings


def problems(front: str, body: str = "") -> list[str]:
    _, lines, found = read_agent_file(f"---\n{front}\n---\n{body}").agent("stem", FIELDS)
    return [f"{lines[problem.at]}: {problem.at}: {problem.message}" for problem in found]


def test_the_body_is_the_instructions() -> None:
    text = "---\nkind: lua\n---\n\n\n# Be brief\n\n---\nand kind.\n\n"
    settings, lines, _ = read_agent_file(text).agent("critic", FIELDS)
    assert settings == {
        "kind": "lua",
        "name": "critic",
        "instructions": "# Be brief\n\n---\nand kind.",
    }
    assert (lines["$"], lines["$.kind"], lines["$.instructions"]) == (1, 2, 6)


def test_the_name_is_the_file_s_unless_it_says_another() -> None:
    assert agent("kind: lua")["name"] == "stem"
    assert agent("name: critic")["name"] == "critic"


def test_limits_stand_as_if_outside_of_their_group() -> None:
    made = agent("limits: {timeout_s: 5, concurrency: 2, retry: {max_attempts: 2}}")
    assert made == {
        "name": "stem",
        "timeout_s": 5,
        "concurrency": 2,
        "retry": {"max_attempts": 2},
    }


@pytest.mark.parametrize(
    ("front", "schemas"),
    [
        ("schema: {type: string}", {"output_schema": {"type": "string"}}),
        ("schema: {output: {type: string}}", {"output_schema": {"type": "string"}}),
        (
            "schema: {input: true, output: {}}",
            {"input_schema": True, "output_schema": {}},
        ),
        ("schema: {}", {"output_schema": {}}),
        ("output_schema: {type: string}", {"output_schema": {"type": "string"}}),
    ],
)
def test_a_schema_is_of_the_answer_or_of_both(front: str, schemas: dict[str, Any]) -> None:
    assert agent(front) == {"name": "stem", **schemas}


@pytest.mark.parametrize("group", ["schema:\n  properties:", "schema:\n output:\n  properties:"])
def test_a_schema_has_the_lines_on_which_it_was_written(group: str) -> None:
    text = f"---\nkind: lua\n{group}\n    a: {{type: strng}}\n---\n"
    _, lines, _ = read_agent_file(text).agent("stem", FIELDS)
    line = text[: text.index("strng")].count("\n") + 1
    assert lines["$.output_schema.properties.a.type"] == line


def test_a_kind_that_has_a_schema_of_its_own_keeps_it() -> None:
    asked = agent("schema: {type: boolean}", fields=frozenset({"schema"}))
    assert asked == {"name": "stem", "schema": {"type": "boolean"}}


def test_what_nobody_knows_is_kept_under_extra() -> None:
    made = agent("on: [push]\nowner: Ada\nno: 1\nextra: {owner: Bob, more: 1}")
    assert made["extra"] == {"on": ["push"], "owner": "Bob", "no": 1, "more": 1}


def test_where_the_kind_is_unknown_everything_stays() -> None:
    assert agent("kind: nope\nsize: 3", fields=None) == {"name": "stem", "kind": "nope", "size": 3}


@pytest.mark.parametrize(
    ("front", "sentence"),
    [
        ("limits: 5", "2: $.limits: expected an object, got 5"),
        ("limits: {colour: red}", "2: $.limits.colour: expected one of the agent's limits, got"),
        (
            "timeout_s: 1\nlimits:\n  timeout_s: 2",
            "4: $.limits.timeout_s: expected 'timeout_s' onc",
        ),
        ("schema: {x: 1}\noutput_schema: {}", "2: $.schema: expected 'output_schema' once"),
        ("Verdict: [PASS]", "2: $.Verdict: expected a field of an agent, got 'Verdict'"),
        ("time-out-s: 3", '2: $["time-out-s"]: expected a field of an agent, got'),
        ("prompt: x", "2: $.prompt: expected a field of an agent, got 'prompt'"),
        ("outputt: {}", "2: $.outputt: expected a field of an agent, got 'outputt'"),
    ],
)
def test_what_is_nearly_right_is_told_on_its_line(front: str, sentence: str) -> None:
    found = problems(front)
    assert [one[: len(sentence)] for one in found] == [sentence]


REFUSED = [
    ("", "expected front matter between two lines '---', got none", 1),
    ("# A title\n---\nkind: lua\n---\n", "expected front matter between two lines", 1),
    (" ---\nkind: lua\n---\n", "expected front matter between two lines", 1),
    ("----\nkind: lua\n----\n", "expected front matter between two lines", 1),
    ("---\nkind: lua\n", "expected a second line '---', got the end of the file", 1),
    ("---\nkind: lua\n ---\n", "expected a second line '---', got the end", 1),
    ("---\n- kind\n---\n", "expected the agent's fields by name, got ['kind']", 2),
    ("---\nlua\n---\n", "expected the agent's fields by name, got 'lua'", 2),
    ("---\nkind: lua\nkind: lua\n---\n", "expected each key once, got 'kind' twice", 3),
    ("---\na: &x 1\n---\n", "expected no anchor, got &x", 2),
    ("---\na: *x\n---\n", "expected a value, got the alias *x", 2),
    ("---\n<<: {a: 1}\n---\n", "expected no merge key, got <<", 2),
    ("---\na: !!python/object:os.system x\n---\n", "expected no tag, got", 2),
    ("---\na: !!binary x\n---\n", "expected no tag, got", 2),
    ("---\n1: a\n---\n", "expected a string as key, got 1", 2),
    ("---\n? [a]\n: b\n---\n", "expected a string as key, got a collection", 2),
    ("---\na:\n---\n", "expected a value, got nothing", 2),
    ("---\na: [\n---\n", "expected YAML:", 3),
    ("---\na: \t\x01\n---\n", "expected YAML:", 2),
    ("---\na: 99999999999999999999\n---\n", "expected an integer of 64 bit, got", 2),
    ("---\nb: 1\na: 1e999\n---\n", "expected a finite number, got 1e999", 3),
    ("---\na: " + "[" * 40 + "]" * 40 + "\n---\n", "expected at most 32 levels, got more", 2),
    ("---\na: " + "x" * 40_000 + "\n---\n", "expected at most 32768 characters of front", 1),
    ("---\n" + "a: 1\n" * 20_000 + "---\n", "expected at most 32768 characters of front", 1),
    ("---\n%YAML 1.1\n---\n", "expected", 3),
    ("---\n...\na: 1\n---\n", "expected", 2),
]


@pytest.mark.parametrize(("text", "sentence", "line"), REFUSED)
def test_front_matter_is_read_strictly(text: str, sentence: str, line: int) -> None:
    with pytest.raises(AgentFileRefused) as caught:
        read_agent_file(text)
    assert caught.value.sentence.startswith(sentence)
    assert caught.value.line == line
    assert "\n" not in caught.value.sentence


def test_words_of_older_yaml_are_plain_text() -> None:
    made = agent("yes: no\non: off\ntime: 12:30:45\noctal: 014\nnothing: ~")
    extra = {"yes": "no", "on": "off", "time": "12:30:45", "octal": "014", "nothing": "~"}
    assert made["extra"] == extra


def test_a_bomb_of_front_matter_costs_little() -> None:
    """Whatever fits into the limit: deep, wide, or quoted without an end."""
    started = time.process_time()
    for bomb in ("a: " + "{a: " * 8_000, "- " * 16_000, "a: '" + "x\n" * 16_000, "? " * 16_000):
        with pytest.raises(AgentFileRefused):
            read_agent_file(f"---\n{bomb[:32_000]}\n---\n")
    assert agent("\n".join(f"key_{i}: {i}" for i in range(1_000)))["extra"]["key_999"] == 999
    print(f"front matter bombs: {time.process_time() - started:.2f} s")  # noqa: T201
