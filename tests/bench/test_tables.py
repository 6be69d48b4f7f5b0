"""Ratios are those of single rounds; who is out stands in the table with its reason."""

from __future__ import annotations

from bench.claims import claims
from bench.contest import Sample, Scores, Start
from bench.own import table
from bench.roster import GROUPS, ROSTER, WORKS
from bench.rounds import Figure
from bench.side_by_side import page
from bench.tables import Standing, entries, group_table

OURS_S = 10e-6


def scores(times: float = 30.0, **others: float) -> Scores:
    """Give ours 10 µs a unit, a bare commit 6 µs, and everybody else *times* as much."""
    found = Scores()
    for entry in entries():
        factor = others.get(entry.contender.name, times)
        if entry.contender.name == "swarm":
            factor = 1.0
        if entry.contender.name == "plain":
            factor = 0.6
        for work in entry.mode.works():
            # The second round fell on a slow second: everything took three times as long.
            samples = [Sample(OURS_S * factor * slow, OURS_S * factor, 50) for slow in (1, 3)]
            found.samples[entry.name, work] = samples
            found.sizes[entry.name, work] = entry.size(WORKS[work], 1)
        found.starts[entry.contender.name] = [Start(factor, factor)]
        found.imports[entry.contender.name] = [Start(factor, factor)]
    return found


def test_a_ratio_is_the_median_of_the_ratios_of_rounds() -> None:
    standing = Standing.of(scores(), "burr:memory", "swarm:memory", "W1")
    assert standing is not None
    assert round(standing.times, 6) == round(standing.cpu_times, 6) == 30


def test_all_claims_hold_where_everybody_is_thirty_times_as_slow() -> None:
    assert [verdict for verdict in claims(scores(), entries()) if not verdict.holds] == []


def test_a_claim_breaks_at_the_nearest_peer_and_names_it() -> None:
    broken = [one for one in claims(scores(burr=7.9), entries()) if one.holds is False]
    assert {one.found for one in broken} == {"Burr, SQLite: 7.90"}
    assert [one.claim[:2] for one in broken] == ["W1", "W2", "W3", "W1", "W4"]


def test_a_peer_that_is_ahead_breaks_the_claims_of_its_works() -> None:
    broken = [one for one in claims(scores(pydantic_graph=0.9), entries()) if one.holds is False]
    assert [one.found for one in broken if "nothing is kept" in one.claim] == [
        "pydantic-graph: 0.90"
    ] * 3


def test_nothing_measured_is_not_a_promise_kept() -> None:
    assert {verdict.holds for verdict in claims(Scores(), entries())} == {None}


def test_who_is_out_stands_in_the_table_and_in_the_notes() -> None:
    found = scores()
    for entry in entries():
        if entry.contender.name == "dbos":
            found.problems[entry.name] = "not installed: ERROR: no wheel"
            for work in entry.mode.works():
                del found.samples[entry.name, work]
    lines = list(group_table(found, GROUPS["normal"], entries()))
    (row,) = [line for line in lines if line.startswith("| DBOS")]
    assert row.count("out") == 4
    text = page(found, ROSTER, rounds=2, share=1, load=0.5)
    assert "- DBOS, SQLite (`dbos:normal`): not installed: ERROR: no wheel" in text


def test_a_smaller_size_is_told() -> None:
    text = page(scores(), ROSTER, rounds=2, share=1, load=0.5)
    assert "Prefect, results kept" in text
    found = scores()
    found.settings["prefect:normal"] = "ephemeral server"
    text = page(found, ROSTER, rounds=2, share=1, load=0.5)
    assert "ephemeral server. Size: W1 50, W2 50, W3 2, W4 50." in text


def test_every_group_has_ours_in_it() -> None:
    for group in GROUPS.values():
        names = {e.contender.name for e in entries() if group.name in e.mode.groups}
        assert "swarm" in names


def test_our_own_figures_stand_with_what_was_promised_of_them() -> None:
    found = [Figure("a", 3.0, "ms", 2), Figure("  b", 1.0, "ms", 2), Figure("c", 7.0, "times")]
    rows = [line for line in table(found) if line[:3] in ("| a", "| b", "| c")]
    assert rows == [
        "| a | 3.00 | ms | 2 | **missed** |",
        "| b | 1.00 | ms | 2 | ok |",
        "| c | 7.00 | times |  |  |",
    ]
