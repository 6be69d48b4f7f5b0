from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from swarm.cli.main import invoke
from swarm.lua.jail import MEASURES
from swarm.stores.sqlite.checkup import examine
from swarm.stores.sqlite.store import FILE

BLUEPRINT = '{"swarm": 1, "id": "good", "agents": [], "flow": {"kind": "seq", "children": []}}'


@pytest.fixture
def store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.json").write_text(BLUEPRINT)
    assert invoke(["run", "good.json", "--store", "kept"]) == 0
    capsys.readouterr()
    return tmp_path / "kept"


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, Any]:
    code = invoke(["doctor", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def test_every_measure_is_held_or_missing(capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = told(capsys)
    assert code == 0
    isolation = findings["isolation"]
    assert sorted(isolation["held"] + isolation["missing"]) == sorted(MEASURES)
    assert isolation["problem"] is None
    assert findings["versions"]["lua"] == "5.4"
    assert findings["store"] is None


def test_a_missing_measure_says_what_it_means_and_is_no_failure(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "swarm.lua.process._BOOT",
        "import os; os.write(1, b'\\x15\\0\\0\\0\\2\\5\\0\\0\\0ready\\7\\0\\0\\0limitsx'); input()",
    )
    assert invoke(["doctor"]) == 0
    out = capsys.readouterr().out
    assert "missing  seccomp: a script that breaks out could open files" in out


def test_where_no_process_starts_nothing_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("swarm.lua.process._BOOT", "raise SystemExit(3)")
    code, findings = told(capsys)
    assert (code, findings["well"]) == (1, False)
    assert "ended with 3" in findings["isolation"]["problem"]
    assert invoke(["doctor"]) == 1
    assert "missing  all of it" in capsys.readouterr().out


def test_a_whole_store_is_said_to_be_whole(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, findings = told(capsys, "--store", str(store))
    assert code == 0
    assert findings["store"]["runs"] == 1
    assert findings["store"]["problems"] == []
    assert invoke(["doctor", "--store", str(store)]) == 0
    assert "every page and every run's chain of events" in capsys.readouterr().out


def test_a_damaged_store_is_told_page_by_page(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = store / FILE
    data = bytearray(file.read_bytes())
    data[4096:] = b"\xa5" * (len(data) - 4096)
    file.write_bytes(data)
    code, findings = told(capsys, "--store", str(store))
    assert (code, findings["well"]) == (1, False)
    assert findings["store"]["problems"]
    assert invoke(["doctor", "--store", str(store)]) == 1
    assert "damaged" in capsys.readouterr().out


def test_a_file_of_something_else_is_no_store(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("no database " * 100)
    [problem] = examine(tmp_path / FILE).problems
    assert "store" in problem


def test_no_store_is_wrong_use(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert invoke(["doctor", "--store", str(tmp_path)]) == 2
    assert "expected a folder in which runs are kept" in capsys.readouterr().err


def test_the_versions_of_blueprints_are_looked_at(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(capsys, "--store", str(store))[1]["blueprints"] is None
    assert invoke(["blueprint", "register", "good.json", "--store", str(store)]) == 0
    capsys.readouterr()
    assert told(capsys, "--store", str(store))[1]["blueprints"] == {"problems": []}
    assert invoke(["doctor", "--store", str(store)]) == 0
    assert "every version of every blueprint" in capsys.readouterr().out
    for packed in (store / "blueprints.git" / "objects").glob("??/*"):
        packed.chmod(0o600)
        packed.write_bytes(packed.read_bytes()[:-3])
    code, findings = told(capsys, "--store", str(store))
    assert (code, findings["well"]) == (1, False)
    assert findings["blueprints"]["problems"]
    assert invoke(["doctor", "--store", str(store)]) == 1
    assert "damaged" in capsys.readouterr().out
