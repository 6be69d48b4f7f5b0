"""Pictures: what they show is what the flow says, whatever its words are."""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowir.show import mermaid, svg, tree
from flowir.wire import load

JSON = dict[str, Any]


def lit(value: Any) -> JSON:
    return {"op": "lit", "value": value}


def path(at: str) -> JSON:
    return {"op": "path", "at": at}


def step(ref: str = "a", **fields: Any) -> JSON:
    return {"kind": "step", "ref": ref, "in": lit(None), **fields}


def seq(*children: JSON, **fields: Any) -> JSON:
    return {"kind": "seq", "children": list(children), **fields}


def branch(then: JSON, **fields: Any) -> JSON:
    return {"kind": "branch", "cond": path("$.c"), "then": then, **fields}


def loop(body: JSON, **fields: Any) -> JSON:
    return {"kind": "loop", "counter": "$.i", "cond": path("$.c"), "body": body, "max": 3, **fields}


def fanout(body: JSON, **fields: Any) -> JSON:
    return {"kind": "fanout", "items": path("$.l"), "bind": "$.x", "body": body, "join": "all",
            "out": "$.o", **fields}  # fmt: skip


def try_(body: JSON, catch: JSON, **fields: Any) -> JSON:
    return {"kind": "try", "body": body, "catch": catch, **fields}


def assign(**fields: Any) -> JSON:
    return {"kind": "assign", "at": "$.a", "value": lit(1), **fields}


def fail() -> JSON:
    return {"kind": "assign", "at": "$", "value": {"op": "fail", "code": "no", "message": lit("n")}}


# ---- reading a flowchart back ------------------------------------------------------------

NODE = re.compile(r'(\w+)(\[|\(\[|\(\(|\(|\{)"([^"]*)"(?:\]\)|\)\)|[\])}])(?::::(\w+))?')
GROUP = re.compile(r'subgraph (\w+)\["([^"]*)"\]')
EDGE = re.compile(r'(\w+) (-->|-\.->)(?:\|"(\w+)"\|)? (\w+)')
SHAPES = {"[": "box", "([": "stop", "((": "circle", "(": "round", "{": "diamond"}


@dataclass
class Chart:
    shapes: dict[str, str] = field(default_factory=dict[str, str])
    labels: dict[str, str] = field(default_factory=dict[str, str])
    within: dict[str, str | None] = field(default_factory=dict[str, "str | None"])
    edges: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    dotted: set[str] = field(default_factory=set[str])

    def pairs(self) -> set[tuple[str, str]]:
        return {(source, target) for source, _, target in self.edges}


def read_back(text: str) -> Chart:
    """Read a flowchart as strictly as what `mermaid` writes allows."""
    lines = text.splitlines()
    assert lines[0] == "flowchart TD"
    assert text.endswith("\n")
    chart, groups = Chart(), cast("list[str]", [])
    for line in map(str.strip, lines[1:]):
        if line.startswith("classDef "):
            continue
        if line == "end":
            groups.pop()
        elif found := GROUP.fullmatch(line):
            _declare(chart, found[1], "group", found[2], groups)
            groups.append(found[1])
        elif found := NODE.fullmatch(line):
            _declare(chart, found[1], SHAPES[found[2]], found[3], groups)
        else:
            found = EDGE.fullmatch(line)
            assert found, line
            assert not groups, "an edge inside a subgraph pulls its nodes into it"
            assert found[1] in chart.shapes
            assert found[4] in chart.shapes
            chart.edges.append((found[1], found[3] or "", found[4]))
            if found[2] == "-.->":
                chart.dotted.add(found[3])
    assert not groups
    return chart


def _declare(chart: Chart, name: str, shape: str, label: str, groups: list[str]) -> None:
    assert name not in chart.shapes
    chart.shapes[name] = shape
    chart.within[name] = groups[-1] if groups else None
    entities = re.sub(r"#(\d+);", r"&#\1;", label.replace("<br/>", "\n"))
    chart.labels[name] = html.unescape(entities)


def drawn(document: JSON, **options: Any) -> Chart:
    return read_back(mermaid(load(document), **options))


# ---- what follows what, computed another way ---------------------------------------------


@dataclass
class Sketch:
    """What may come first and last in a node, and whether the flow can pass it unseen."""

    first: set[str]
    last: set[str]
    empty: bool


class Expected:
    """Computes nodes and edges as sets, in the way regular expressions become automata."""

    def __init__(self, document: JSON) -> None:
        self.nodes: set[str] = {"start", "finish"}
        self.pairs: set[tuple[str, str]] = set()
        whole = self.node(document, "n")
        inside = self.chain([Sketch({"start"}, {"start"}, False), whole,
                             Sketch({"finish"}, {"finish"}, False)])  # fmt: skip
        assert inside.first == {"start"}

    def node(self, node: JSON, name: str) -> Sketch:
        match node["kind"]:
            case "seq":
                return self.chain(
                    [self.node(child, f"{name}_{i}") for i, child in enumerate(node["children"])]
                )
            case "branch":
                return self._branch(node, name)
            case "loop":
                here = self._seen(name)
                turn = self.chain([here, self.node(node["body"], f"{name}_body")])
                self._join(turn.last, {name})
                return here
            case "fanout":
                return self._group(node, name)
            case "try":
                return self._try(node, name)
            case _:
                here = self._seen(name)
                if node["kind"] == "assign" and node["value"]["op"] == "fail":
                    here.last = set()
                return here

    def chain(self, parts: list[Sketch]) -> Sketch:
        whole = Sketch(set(), set(), True)
        for part in parts:
            self._join(whole.last, part.first)
            whole = Sketch(
                whole.first | (part.first if whole.empty else set()),
                part.last | (whole.last if part.empty else set()),
                whole.empty and part.empty,
            )
        return whole

    def _branch(self, node: JSON, name: str) -> Sketch:
        last: set[str] = set()
        self._seen(name)
        for side in ("then", "else"):
            inside = self.node(node.get(side, seq()), f"{name}_{side}")
            last |= self.chain([Sketch({name}, {name}, False), inside]).last
        return Sketch({name}, last, False)

    def _group(self, node: JSON, name: str) -> Sketch:
        self.nodes.add(name)
        body = self.node(node["body"], f"{name}_body")
        return self._seen(f"{name}_empty") if body.empty else body

    def _try(self, node: JSON, name: str) -> Sketch:
        body = self._group(node, name)
        last = set(body.last)
        thrown = Sketch({name}, {name}, False)
        last |= self.chain([thrown, self.node(node["catch"], f"{name}_catch")]).last
        after = self.node(node.get("finally", seq()), f"{name}_finally")
        if not after.empty:
            self._join(last | {name}, after.first)
            last = after.last if last else last
        return Sketch(body.first, last, False)

    def _seen(self, name: str) -> Sketch:
        self.nodes.add(name)
        return Sketch({name}, {name}, False)

    def _join(self, sources: set[str], targets: set[str]) -> None:
        self.pairs |= {(source, target) for source in sources for target in targets}


def _grow(inner: st.SearchStrategy[JSON]) -> st.SearchStrategy[JSON]:
    return st.one_of(
        st.lists(inner, max_size=4).map(lambda nodes: seq(*nodes)),
        inner.map(branch),
        st.tuples(inner, inner).map(lambda two: branch(two[0], **{"else": two[1]})),
        inner.map(loop),
        inner.map(fanout),
        st.tuples(inner, inner).map(lambda two: try_(*two)),
        st.tuples(inner, inner, inner).map(lambda n: try_(n[0], n[1], **{"finally": n[2]})),
    )


LEAVES = st.sampled_from([step(), assign(), fail(), seq()])
DOCUMENTS = st.recursive(LEAVES, _grow, max_leaves=12)


@given(DOCUMENTS)
@settings(max_examples=150, deadline=None)
def test_a_flowchart_has_the_nodes_and_edges_of_the_flow(document: JSON) -> None:
    chart, expected = drawn(document), Expected(document)
    assert set(chart.shapes) == expected.nodes
    assert chart.pairs() == expected.pairs


@given(DOCUMENTS)
@settings(max_examples=100, deadline=None)
def test_an_image_shows_each_node_once_and_no_box_over_another(document: JSON) -> None:
    image = read_image(svg(load(document)))
    shown = {name for name in Expected(document).nodes if not name.endswith("_empty")}
    assert sorted(map(_name, image.places)) == sorted(shown - {"start", "finish"})
    _assert_apart(image)


# ---- flowcharts --------------------------------------------------------------------------


def test_a_flowchart_of_a_small_flow_reads_like_this() -> None:
    document = seq(
        step("writer", id="draft", out="$.draft"),
        loop(branch(step("fixer"), cond={"op": "eq", "lhs": path("$.v"), "rhs": lit("NO")})),
    )
    lines = [line.strip() for line in mermaid(load(document)).splitlines()]
    assert lines[:-2] == [
        "flowchart TD",
        'start(("start"))',
        'n_0["writer<br/>#35;draft · → ctx.draft"]',
        'n_1{"ctx.c<br/>at most 3"}',
        'n_1_body{"ctx.v == #34;NO#34;"}',
        'n_1_body_then["fixer"]',
        'finish(("end"))',
        "start --> n_0",
        "n_0 --> n_1",
        'n_1 -->|"again"| n_1_body',
        'n_1_body -->|"yes"| n_1_body_then',
        "n_1_body_then --> n_1",
        'n_1_body -->|"no"| n_1',
        'n_1 -->|"done"| finish',
    ]
    assert lines[-2].startswith("classDef assign ")
    assert lines[-1].startswith("classDef fail ")


def test_each_kind_has_its_shape() -> None:
    chart = drawn(
        seq(step(), step("swarm.sleep", **{"in": lit(5)}), assign(), branch(step()), loop(step()),
            fanout(step()), try_(step(), step()), fail())
    )  # fmt: skip
    shapes = [chart.shapes[f"n_{i}"] for i in range(8)]
    assert shapes == ["box", "round", "box", "diamond", "diamond", "group", "group", "stop"]
    assert chart.labels["n_1"] == "sleep 5 s"
    assert chart.labels["n_2"] == "ctx.a = 1"
    assert chart.labels["n_7"] == 'fail("no", "n")'


def test_marks_say_what_a_step_may_do() -> None:
    chart = drawn(step("w", retry={"max_attempts": 4}, timeout_s=1.5, out="$.x", id="first"))
    assert chart.labels["n"] == "w\n#first · → ctx.x · up to 4 attempts · within 1.5 s"


def test_a_fanout_says_join_quorum_and_limit() -> None:
    chart = drawn(fanout(step(), join="quorum", quorum=2, limit=path("$.n")))
    assert chart.labels["n"] == "for each ctx.x in ctx.l\njoin quorum of 2 · limit ctx.n · → ctx.o"
    assert chart.within["n_body"] == "n"


def test_a_try_says_what_it_admits_and_leads_to_catch_and_finally() -> None:
    document = try_(step(), step(), on=["tool.*", "x"], restore=False, **{"finally": step()})
    chart = drawn(document)
    assert chart.labels["n"] == "try\non tool.*, x · keeps writes"
    assert chart.dotted == {"catch", "finally"}
    assert ("n", "catch", "n_catch") in chart.edges
    assert ("n", "finally", "n_finally") in chart.edges
    assert chart.within["n_catch"] is None


def test_nothing_follows_a_fail() -> None:
    assert drawn(seq(fail(), step())).pairs() == {("start", "n_0"), ("n_1", "finish")}


def test_an_empty_flow_leads_from_start_to_end() -> None:
    assert drawn(seq()).edges == [("start", "", "finish")]


HOSTILE = [
    "end",
    'say "hi"',
    "a[b](c){d}|e|<b>f</b>&amp;#35;`g`\\",
    "_emphasis_ **strong** snake_case ~~gone~~",
    "1. list",
    "- list",
    "+ list",
    "$$x^2$$ %%{init: {}}%% @{ shape: x }",
    "style x:#abc; classDef y:#f00;",
    "häuser 数 😀 «quoted»",
    "--> n_0; click n call f()",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_a_label_and_never_markup(name: str) -> None:
    text = mermaid(load(seq(step(name), step(name))))
    chart = read_back(text)
    assert chart.labels["n_0"] == chart.labels["n_1"] == name
    label = re.findall(r'n_0\["(.*)"\]', text)[0]
    assert not re.search(r'["<>\[\]{}|`\\*~$%:;@&]', re.sub(r"#\d+;", "", label))
    assert not re.match(r"\d*[.)+-] ", label)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=150, deadline=None)
def test_any_name_fits_into_every_picture(name: str) -> None:
    flow = load(step("x" + name))
    assert read_back(mermaid(flow)).shapes.keys() == {"start", "n", "finish"}
    assert len(tree(flow).splitlines()) == 1
    assert read_image(svg(flow)).texts


def test_long_and_many_lined_text_is_cut_to_one_line() -> None:
    chart = drawn(assign(value=lit("line\n" * 1000)))
    assert "\n" not in chart.labels["n"]
    assert len(chart.labels["n"]) == 60
    assert chart.labels["n"].endswith("…")


# ---- implicit nodes ----------------------------------------------------------------------

GUARDED = seq(
    step("a"),
    assign(implicit=True),
    branch(seq(step("b"), implicit=True), implicit=True),
    step("c"),
)


def test_implicit_nodes_are_hidden_and_edges_go_through_them() -> None:
    chart = drawn(GUARDED)
    assert chart.pairs() == {
        ("start", "n_0"), ("n_0", "n_2_then_0"), ("n_2_then_0", "n_3"), ("n_3", "finish"),
    }  # fmt: skip
    assert tree(load(GUARDED)).splitlines() == ["seq", "├── step a", "├── step b", "└── step c"]


def test_implicit_nodes_are_shown_on_request() -> None:
    chart = drawn(GUARDED, implicit=True)
    assert {"n_1", "n_2"} < set(chart.shapes)
    assert "branch ctx.c" in tree(load(GUARDED), implicit=True)
    assert 'data-place="$.children[2]"' in svg(load(GUARDED), implicit=True)


def test_an_implicit_fork_between_two_things_is_shown() -> None:
    chart = drawn(branch(step(), implicit=True, **{"else": step()}))
    assert chart.shapes["n"] == "diamond"


def test_a_flow_of_nothing_but_implicit_nodes_is_empty() -> None:
    flow = load(seq(assign(implicit=True), implicit=True))
    assert tree(flow) == ""
    assert read_back(mermaid(flow)).edges == [("start", "", "finish")]
    assert read_image(svg(flow)).places == []


# ---- trees -------------------------------------------------------------------------------


def test_a_tree_has_a_line_for_each_node() -> None:
    document = seq(
        step("writer", id="draft", out="$.draft"),
        loop(seq(step("r"), branch(step("f"), **{"else": seq()}))),
        try_(fanout(step("x")), fail(), on=["tool.*"], **{"finally": assign()}),
        step("swarm.sleep", **{"in": path("$.pause")}),
    )
    assert tree(load(document)).splitlines() == [
        "seq",
        "├── step writer · #draft · → ctx.draft",
        "├── loop ctx.c · at most 3",
        "│   └── seq",
        "│       ├── step r",
        "│       └── branch ctx.c",
        "│           ├── then: step f",
        "│           └── else: seq",
        "├── try · on tool.*",
        "│   ├── fanout ctx.x in ctx.l · join all · → ctx.o",
        "│   │   └── step x",
        '│   ├── catch: fail("no", "n")',
        "│   └── finally: assign ctx.a = 1",
        "└── sleep ctx.pause s",
    ]


def test_a_tree_shows_where_a_node_was_written() -> None:
    flow = load(seq(step("a"), step("b")))
    text = tree(flow, lines={"$.children[1]": "review.lua:7", "$.gone": "x:1"})
    assert text == "seq\n├── step a\n└── step b  (review.lua:7)\n"


# ---- images ------------------------------------------------------------------------------

Box = tuple[int, int, int, int]


@dataclass
class Image:
    places: list[str]
    boxes: list[Box]
    texts: list[str]
    size: tuple[int, int]


def read_image(text: str) -> Image:
    root = ElementTree.fromstring(text)  # noqa: S314 - written by ourselves
    tag = "{http://www.w3.org/2000/svg}"
    places = [g.attrib["data-place"] for g in root.iter(f"{tag}g") if g.attrib]
    boxes = [
        (int(r.attrib["x"]), int(r.attrib["y"]), int(r.attrib["width"]), int(r.attrib["height"]))
        for r in root.iter(f"{tag}rect")
        if r.attrib.get("class") not in (None, "frame")
    ]
    texts = [t.text or "" for t in root.iter(f"{tag}text")]
    size = int(root.attrib["width"]), int(root.attrib["height"])
    return Image(places, boxes, texts, size)


def _name(place: str) -> str:
    return "n" + place[1:].replace(".children[", "_").replace("]", "").replace(".", "_")


def _assert_apart(image: Image) -> None:
    boxes = sorted(image.boxes)
    for i, (x, y, width, height) in enumerate(boxes):
        assert x >= 0
        assert y >= 0
        assert x + width <= image.size[0]
        assert y + height <= image.size[1]
        for other_x, other_y, other_width, other_height in boxes[i + 1 :]:
            apart_x = other_x >= x + width or x >= other_x + other_width
            assert apart_x or other_y >= y + height or y >= other_y + other_height


def test_an_image_holds_the_words_of_the_flow_escaped() -> None:
    image = read_image(svg(load(seq(step('<b> & "x"', id="one"), try_(step("t"), step("c"))))))
    assert image.texts == ['<b> & "x"', "#one", "try", "t", "catch", "c"]


@pytest.mark.parametrize(
    ("document", "dots"),
    [
        (step(), 2),
        (fail(), 1),
        (fanout(fail()), 1),
        (try_(fail(), fail()), 1),
        (try_(fail(), step()), 2),
        (try_(fail(), seq()), 2),
        (try_(step(), seq(), **{"finally": fail()}), 1),
        (branch(fail(), **{"else": fail()}), 1),
        (loop(fail()), 2),
    ],
)
def test_an_image_ends_in_a_dot_where_the_flow_can_end_well(document: JSON, dots: int) -> None:
    assert svg(load(document)).count("<circle") == dots
    assert ("finish" in {target for _, _, target in drawn(document).edges}) == (dots == 2)


# ---- size --------------------------------------------------------------------------------


def caught(node: JSON) -> JSON:
    return try_(step(), node)


@pytest.mark.parametrize("wrap", [seq, branch, loop, fanout, caught])
def test_the_deepest_flow_has_its_pictures(wrap: Callable[[JSON], JSON]) -> None:
    document = step("innermost")
    for _ in range(120):
        document = wrap(document)
    flow = load(document)
    assert "innermost" in mermaid(flow)
    assert "innermost" in tree(flow)
    assert "innermost" in svg(flow)


def test_a_picture_grows_with_the_flow_and_not_faster() -> None:
    def sizes(count: int) -> list[int]:
        turn = [branch(assign()), step("b"), branch(step("c"), implicit=True)]
        flow = load(seq(*turn * count))
        return [len(draw(flow)) for draw in (mermaid, tree, svg)]

    for small, large in zip(sizes(100), sizes(1000), strict=True):
        assert large < 12 * small
