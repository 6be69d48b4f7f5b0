"""`swarm token`: what it prints, what it reads, and what it never shows."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from swarm.cli.main import invoke
from swarm.core.capability.verbs import ROLES, VERBS
from swarm.stores.sqlite import open_store


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARM_STORE", raising=False)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    got = invoke(["token", *arguments])
    out, err = capsys.readouterr()
    assert got == code, err
    return out if code == 0 else err


def minted(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    return said(capsys, "mint", "ada", *(arguments or ("--role", "operator")))


def test_a_minted_token_is_inspected_narrowed_and_says_less(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    (place / "t").write_text(minted(capsys, "--role", "operator", "--run", "r_1", "--uses", "3"))
    found = json.loads(said(capsys, "inspect", "--token-file", "t", "--json"))
    assert (found["sub"], found["run"], found["uses"], found["caveats"]) == ("ada", "r_1", 3, [])
    narrow = said(capsys, "narrow", "--token-file", "t", "--verb", "run.read", "--uses", "1")
    (place / "n").write_text(narrow)
    found = json.loads(said(capsys, "inspect", "--token-file", "n", "--json"))
    assert found["caveats"] == [{"uses": 1, "verbs": ["run.read"]}]
    assert narrow.startswith((place / "t").read_text().rpartition(".")[0])


def test_a_token_comes_from_stdin_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(minted(capsys)))
    assert "sub          ada" in said(capsys, "inspect")


def test_a_dash_is_stdin(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(minted(capsys)))
    assert json.loads(said(capsys, "inspect", "-", "--json"))["sub"] == "ada"


def test_inspecting_shows_no_secret(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    token = minted(capsys).strip()
    (place / "t").write_text(token)
    out = said(capsys, "inspect", "--token-file", "t") + said(
        capsys, "inspect", "--token-file", "t", "--json"
    )
    assert token.rpartition(".")[2] not in out
    assert "jti" not in out


def test_the_table_names_every_verb_and_role(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "verbs").splitlines()
    assert lines[0].split() == ["verb", *ROLES, "does"]
    assert [line.split()[0] for line in lines[1:]] == list(VERBS)
    whole = json.loads(said(capsys, "verbs", "--json"))
    assert whole["roles"].keys() == set(ROLES)
    assert whole["verbs"] == dict(VERBS)


def test_what_cannot_be_minted_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    err = said(capsys, "mint", "ada", "--role", "boss", code=2)
    assert "expected a role of worker" in err
    err = said(capsys, "mint", "ada", "--role", "worker", "--verb", "run.strat", code=2)
    assert "did you mean 'run.start'?" in err


@pytest.mark.parametrize("text", ["", "hello", "v1.a.b.c", "ä" * 50, "x" * 100_000])
def test_what_is_no_token_is_a_sentence_that_does_not_show_it(
    capsys: pytest.CaptureFixture[str], place: Path, text: str
) -> None:
    (place / "t").write_text(text)
    for act in ("inspect", "narrow --depth 0", "revoke"):
        err = said(capsys, *act.split(), "--token-file", "t", code=2)
        assert "capability.token" in err
        assert not text or text not in err


@pytest.mark.parametrize("act", ["inspect", "narrow --depth 0", "revoke"])
def test_a_token_among_the_words_is_refused_and_not_repeated(
    capsys: pytest.CaptureFixture[str], act: str
) -> None:
    token = minted(capsys)
    err = said(capsys, *act.split(), token, code=2)
    assert "expected the token on stdin or in --token-file FILE" in err
    assert token[:20] not in err


def test_a_file_that_is_not_there_is_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere" in said(capsys, "inspect", "--token-file", "nowhere", code=2)
    assert said(capsys, "narrow", "--token-file", "t", code=2)


def test_revoking_is_remembered_by_the_store(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    (place / "t").write_text(minted(capsys))
    mark = json.loads(said(capsys, "inspect", "--token-file", "t", "--json"))["fingerprint"]
    said(capsys, "revoke", "--token-file", "t")
    said(capsys, "revoke", "--subject", "bob")
    said(capsys, "revoke", "--run", "r_1")
    store = open_store(place / ".swarm")
    ledger = store.ledger
    assert (ledger.revoked("token", mark), ledger.revoked("subject", "bob"), ledger.epoch) == (
        1, 2, 3,
    )  # fmt: skip
    store.close()
    assert json.loads((place / ".swarm/keys.json").read_text())["epoch"] == 3


def test_two_things_at_once_are_not_revoked(capsys: pytest.CaptureFixture[str]) -> None:
    assert "expected one of" in said(capsys, "revoke", "--subject", "a", "--kid", "b", code=2)


def test_a_key_turns_and_goes(capsys: pytest.CaptureFixture[str], place: Path) -> None:
    old = minted(capsys).split(".")[1]
    new = said(capsys, "rotate").strip()
    assert minted(capsys).split(".")[1] == new != old
    said(capsys, "rotate")
    assert "keys.live" in said(capsys, "rotate", code=2)
    said(capsys, "revoke", "--kid", old)
    said(capsys, "rotate")
    assert old not in (place / ".swarm/keys.json").read_text()
    assert "keys.unknown" in said(capsys, "revoke", "--kid", old, code=2)


def test_a_store_in_memory_has_no_key(capsys: pytest.CaptureFixture[str]) -> None:
    said(capsys, "mint", "ada", "--role", "worker", "--store", ":memory:", code=2)


def test_a_key_file_that_others_can_read_mints_nothing(
    capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    minted(capsys)
    (place / ".swarm/keys.json").chmod(0o644)
    assert "keys.file" in said(capsys, "mint", "ada", "--role", "worker", code=2)
