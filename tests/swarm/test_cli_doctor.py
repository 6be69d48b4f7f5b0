from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import apsw
import pytest

from swarm.cli.doctor_store import look_at_store
from swarm.cli.main import invoke
from swarm.lua.jail import MEASURES
from swarm.stores.keyfile import KEY_FILE
from swarm.stores.sqlite.checkup import examine
from swarm.stores.sqlite.store import FILE
from swarm.workers.process import isolation, nursery

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
    assert "expected the folder of a store, found none" in capsys.readouterr().err


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


# -- programs --------------------------------------------------------------------------


def without(*measures: str) -> tuple[list[str], list[str]]:
    return (
        [measure for measure in isolation.MEASURES if measure not in measures],
        [measure for measure in isolation.MEASURES if measure in measures],
    )


def programs(capsys: pytest.CaptureFixture[str]) -> tuple[list[str], list[str]]:
    code, findings = told(capsys)
    assert code == 0
    assert findings["programs"]["problem"] is None
    return findings["programs"]["held"], findings["programs"]["missing"]


def plant(monkeypatch: pytest.MonkeyPatch, statement: str) -> None:
    """Change the keepers: they are processes of their own, and so is what is planted."""
    boot = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        f"from swarm.workers.process import keeper; {statement}; keeper.main()"
    )
    monkeypatch.setattr(nursery, "_BOOT", boot)


def test_every_measure_of_programs_is_held_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert programs(capsys) == without()
    assert invoke(["doctor"]) == 0
    assert "ok       subreaper: all that a program leaves behind" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("statement", "missing"),
    [
        ("keeper._SET_CHILD_SUBREAPER = 0", ("subreaper",)),
        ("keeper._SET_PDEATHSIG = 0", ("parent_death",)),
        ("keeper._SET_NO_NEW_PRIVS = 0", ("no_new_privs",)),
        ("keeper._prctl = lambda: keeper._no_prctl", ("subreaper", "parent_death", "no_new_privs")),
    ],
)
def test_what_keepers_cannot_do_is_missing(
    statement: str,
    missing: tuple[str, ...],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(monkeypatch, statement)
    assert invoke(["doctor"]) == 0
    out = capsys.readouterr().out.partition("Agents may be programs:")[2]
    for measure in isolation.MEASURES:
        assert f"{'missing' if measure in missing else 'ok':<9}{measure}: " in out


def test_handles_of_processes_and_marks_that_are_missing_are_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_mark: str) -> Iterator[int]:
        return iter(())

    monkeypatch.delattr("os.pidfd_open")
    monkeypatch.setattr(isolation, "marked_processes", nothing)
    assert programs(capsys) == without("pidfd", "marks")


def test_where_no_program_starts_nothing_is_well(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nursery, "_BOOT", "raise SystemExit(3)")
    code, findings = told(capsys)
    assert (code, findings["well"]) == (1, False)
    assert findings["programs"]["missing"] == list(isolation.MEASURES)
    assert invoke(["doctor"]) == 1
    assert "missing  all of it: " in capsys.readouterr().out


# -- the log of acts, and the keys -----------------------------------------------------


def finding(store: Path, name: str) -> tuple[bool, str, str]:
    health = anyio.run(look_at_store, store)
    how, said = getattr(health, name)
    assert (how, said) in health.findings()
    return health.well, how, said


def test_a_log_without_a_checkpoint_lacks_one(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    well, how, said = finding(store, "audit")
    assert (well, how) == (True, "missing")
    assert "no checkpoint of the 1 entry" in said
    assert invoke(["audit", "checkpoint", "--store", str(store)]) == 0
    well, how, said = finding(store, "audit")
    assert (well, how) == (True, "ok")
    assert said == "the log of acts: 1 entry, 1 checkpoint, as written"
    capsys.readouterr()
    assert invoke(["doctor", "--store", str(store)]) == 0
    assert f"  ok       {said}\n" in capsys.readouterr().out
    assert told(capsys, "--store", str(store))[1]["audit"] == {"how": "ok", "said": said}


def changed(store: Path, statement: str) -> None:
    db = apsw.Connection(str(store / FILE))
    for trigger in ("audit_stays", "audit_keeps"):
        db.execute(f"drop trigger {trigger}")
    db.execute(statement)
    db.close()


def test_a_log_that_was_emptied_is_missing_and_with_a_checkpoint_damaged(store: Path) -> None:
    assert invoke(["audit", "checkpoint", "--store", str(store)]) == 0
    changed(store, "delete from audit")
    well, how, said = finding(store, "audit")
    assert (well, how) == (False, "damaged")
    assert "entry 1" in said
    (store / "checkpoints.jsonl").unlink()
    well, how, said = finding(store, "audit")
    assert (well, how, said.partition(":")[0]) == (True, "missing", "the log of acts is empty")


def test_an_entry_that_was_changed_is_damaged(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed(store, "update audit set body = cast(replace(body, 'allowed', 'denied') as blob)")
    well, how, said = finding(store, "audit")
    assert (well, how) == (False, "damaged")
    assert "entry 1: expected what was written" in said
    assert invoke(["doctor", "--store", str(store)]) == 1
    assert f"  damaged  {said}\n" in capsys.readouterr().out


def test_a_key_file_is_told_by_its_mode_and_age(store: Path) -> None:
    assert finding(store, "keys")[:2] == (True, "missing")
    assert invoke(["token", "mint", "ada", "--role", "observer", "--store", str(store)]) == 0
    file = store / KEY_FILE
    said = "keys.json: mode 0600, signing for less than a day, 1 live"
    assert finding(store, "keys") == (True, "ok", said)
    keys = json.loads(file.read_text())
    keys["keys"][0]["made_s"] = int(time.time()) - 100 * 86_400
    file.write_text(json.dumps(keys))
    well, how, said = finding(store, "keys")
    assert (well, how) == (True, "missing")
    assert "signing for 100 days" in said
    assert "swarm token rotate" in said
    file.chmod(0o644)
    well, how, said = finding(store, "keys")
    assert (well, how) == (False, "damaged")
    assert "mode 0644" in said
    file.unlink()
    file.symlink_to(store / "elsewhere")
    assert finding(store, "keys")[:2] == (False, "damaged")
