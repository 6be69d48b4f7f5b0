"""The search for tables with two names comes to an end: by counting, with a sentence."""

from __future__ import annotations

import pytest

from swarm.lua.lowering import aliasing, handed, liveness, lowering
from swarm.lua.lowering.effort import MOST, Effort, TooMuch
from tests.plain.both import HEAD, Batch
from tests.swarm.test_lua_lowering import of_blocks


def into_each_other(count: int) -> str:
    """Tables that hold tables that hold tables, each by several names."""
    lines = (
        f"local u{i} = t.x or t.y or ctx.b or ctx.c t = {{ x = u{i}, y = t, z = {{ t, u{i} }} }}"
        for i in range(count)
    )
    return "function(ctx)\nlocal t = ctx.a\n" + "\n".join(lines) + "\nctx.out = t\nend"


def copied(count: int) -> str:
    lines = (
        f"local u{i} = copy(t.x or ctx.b) t = copy({{ x = u{i}, y = u{i}.y }})"
        for i in range(count)
    )
    return "function(ctx)\nlocal t = copy(ctx.a)\n" + "\n".join(lines) + "\nctx.out = t\nend"


def of_the_same(count: int) -> str:
    fields = ", ".join(f"k{i} = t" for i in range(count))
    return "function(ctx)\nlocal t = ctx.a\n" + f"t = {{ {fields} }}\n" * count + "ctx.o = t\nend"


def computed_names(count: int) -> str:
    lines = (f"ctx.a{i} = ctx[ctx.k{i}]" for i in range(count))
    return "function(ctx)\n" + "\n".join(lines) + "\nend"


class Counted(Effort):
    """Keeps what each search has spent."""

    all: list[Counted]

    def __init__(self, most: int = MOST) -> None:
        super().__init__(most)
        self.all.append(self)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> type[Counted]:
    Counted.all = []
    monkeypatch.setattr(aliasing, "Effort", Counted)
    monkeypatch.setattr(handed, "Effort", Counted)
    return Counted


def lowered(flow: str, before: str = "") -> lowering.PlainFlow:
    text = f'{HEAD}{before}return {{ flow.blueprint {{ id = "p", flow = {flow} }} }}\n'
    return Batch(text).lowered(0)


@pytest.mark.parametrize(
    "flow",
    [into_each_other(30), of_the_same(12), computed_names(200)],
    ids=["into_each_other", "of_the_same", "computed_names"],
)
def test_a_flow_whose_tables_cannot_be_told_apart_is_refused(
    flow: str, counted: type[Counted]
) -> None:
    (place, problem), *others = lowered(flow).problems
    assert others == []
    assert problem.code == "plain.refused"
    assert "up to here too many tables may be one and the same" in problem.message
    assert problem.hint == ("write copy(…) where a table is put into another or gets a second name")
    assert (place.line or 0) > 1, "the author sees how far it went"
    assert max(one.spent for one in counted.all) < MOST * 1.1, "it ends there"


@pytest.mark.parametrize(
    "flow", [into_each_other(3), copied(100), of_the_same(3), computed_names(30)]
)
def test_what_says_copy_or_is_small_is_lowered(flow: str, counted: type[Counted]) -> None:
    """The benign twins."""
    assert lowered(flow).problems == ()
    assert max(one.spent for one in counted.all) < MOST / 2


def chain(count: int) -> str:
    """Helpers that call each other thrice: reading them all takes three to that power."""
    text = "local function h0(x) return x end\n"
    for i in range(count):
        body = f"local a = h{i}(x) for _ = 1, 2 do a = h{i}(a) end return h{i}(a)"
        text += f"local function h{i + 1}(x) {body} end\n"
    return text


@pytest.mark.parametrize(("most", "ended"), [(20_000, True), (10**9, False)])
def test_helpers_within_helpers_are_read_up_to_a_bound(
    counted: type[Counted], monkeypatch: pytest.MonkeyPatch, most: int, ended: bool
) -> None:
    """The control: where nothing bounds it, so few take more than that already."""
    monkeypatch.setattr(handed, "_MOST", most)
    plain = lowered("function(ctx) ctx.out = h6(ctx.a) end", chain(6))
    assert plain.problems == ()
    assert (max(one.spent for one in counted.all) < 21_000) is ended


def sums(count: int) -> str:
    """Expressions of many parts, in loops around loops: what each looks at is counted."""
    line = "n = " + " + ".join(["n"] * 20)
    body = "\n".join([line] * count)
    return f"function(ctx)\nlocal n = ctx.n\nfor i = 1, 2 do for j = 1, 2 do\n{body}\nend end\nend"


def test_a_flow_that_reads_too_much_is_refused(
    counted: type[Counted], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lowered(sums(10)).problems == ()
    small = max(one.spent for one in counted.all)
    monkeypatch.setattr(liveness, "MOST", small * 5)
    assert lowered(sums(40)).problems == ()  # the benign twin
    (place, problem), *others = lowered(sums(100)).problems
    assert others == []
    assert "up to here the flow reads too much" in problem.message
    assert problem.hint == "make two blueprints of it: flow.sub runs the one in the other"
    first = HEAD.count("\n")
    assert first + 40 < (place.line or 0) < first + 100


def test_reading_takes_work_in_proportion_to_the_text(counted: type[Counted]) -> None:
    spent: list[int] = []
    for count in (20, 40, 80):
        lowered(sums(count))
        spent.append(max(one.spent for one in counted.all))
    assert spent[1] / spent[0] < 2.1
    assert spent[2] / spent[1] < 2.1


def test_the_search_takes_work_in_proportion_to_the_text(counted: type[Counted]) -> None:
    """Of what people write: that every local has a name of its own must not cost its square."""
    spent: list[int] = []
    for count in (30, 60, 120):
        assert of_blocks(count).problems == ()
        spent.append(sum(one.spent for one in counted.all))
        counted.all.clear()
    assert spent[1] / spent[0] < 2.1
    assert spent[2] / spent[1] < 2.1


def test_effort_ends_where_it_is_said() -> None:
    effort = Effort(10)
    effort.spend(10)
    with pytest.raises(TooMuch):
        effort.spend()
