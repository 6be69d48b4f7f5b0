"""Every example of the repository, checked and run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke

ROOT = Path(__file__).parents[2]
BLUEPRINTS = sorted(
    p.name for p in (ROOT / "blueprints").glob("*.*") if p.suffix in (".lua", ".json")
)


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("SWARM_STORE", str(tmp_path / "state"))


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert invoke(["run", *arguments]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_example_has_no_problems(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["check", f"blueprints/{name}"]) == 0
    assert capsys.readouterr().out == ""


def test_review_mends_the_letter_and_reports_on_every_page(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = _run(capsys, "blueprints/review.lua", "--input", "@blueprints/data/review.json")
    assert (result["verdict"], result["rounds"]) == ("PASS", 4)
    assert "the the" not in result["letter"]
    assert "whenever you like. Please bring" in result["letter"]
    assert [page.get("dead_links") for page in result["pages"]] == [[], ["plan.md"], [], None]
    assert [page["page"] for page in result["broken"]] == ["data/pages/bees.md"]
    assert "no such page" in result["broken"][0]["failed"]


def test_review_gives_up_on_a_letter_it_cannot_mend(capsys: pytest.CaptureFixture[str]) -> None:
    letter = "word " * 30 + "end."
    result = _run(
        capsys, "blueprints/review.lua", "--input", json.dumps({"letter": letter, "pages": []})
    )
    assert (result["verdict"], result["rounds"], result["pages"]) == ("REVISE", 5, [])


def test_checks_counts_the_dead_links(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "blueprints/checks.lua")["dead_links"] == 1


def test_checks_fails_with_the_authors_code_where_a_page_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert invoke(["run", "blueprints/checks.lua", "--set", 'pages=["data/no.md"]', "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "pages.missing"


def test_essay_is_written_by_agents_from_files(capsys: pytest.CaptureFixture[str]) -> None:
    essay = _run(capsys, "blueprints/essay.lua", "--set", "topic=rain")["essay"]
    assert essay.splitlines() == [
        "Tea, a short essay on rain.",
        "It is picked, dried and steeped, a hard thing.",
    ]


def test_retry_succeeds_at_the_third_attempt(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "blueprints/retry.json") == {"answer": "attempt 3"}


def test_hello_greets_the_world_unless_told_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run(capsys, "blueprints/hello.lua")["loud"] == "HELLO, WORLD!"
