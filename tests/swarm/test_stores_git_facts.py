"""What a version says of itself, and drafts: written, read back, and compared, by themselves."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from swarm.blueprint.canonical import digest_of
from swarm.ports.versions import Contents, Draft, File, Note
from swarm.stores.git.drafts import draft_files, draft_of
from swarm.stores.git.facts import Facts, damaged, document_text, message_of

DOCUMENT = {
    "swarm": 1, "id": "review", "agents": [], "description": "\u00e9",
    "flow": {"kind": "seq", "children": []},
}  # fmt: skip
CONTENTS = Contents(
    DOCUMENT,
    {"blueprint.lua": File(b"-- hi\n"), "tools/run.sh": File(b"#!\n", executable=True)},
    "blueprint.lua",
    generated=True,
    lines={"$": ("blueprint.lua", None), "$.flow": ("blueprint.lua", 3)},
)
NOTE = Note("ada", "because", 1000.5)
PARENT = "0123456789abcdef" * 4
FACTS = Facts.of(CONTENTS, NOTE, label="1.2.0", parent=PARENT, back_to="1.0.0")
FIRST = Facts.of(CONTENTS, NOTE, label="1.0.0", parent=None, back_to=None)


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def test_an_entry_says_all_that_there_is_to_say() -> None:
    said = json.loads(FACTS.to_text())
    assert said == {
        "form": 1,
        "id": "review",
        "digest": digest_of(DOCUMENT),
        "label": "1.2.0",
        "parent": PARENT,
        "author": "ada",
        "reason": "because",
        "written_s": 1000.5,
        "source": "blueprint.lua",
        "generated": True,
        "back_to": "1.0.0",
        "files": {"blueprint.lua": digest(b"-- hi\n"), "tools/run.sh": digest(b"#!\n")},
        "lines": {"$": ["blueprint.lua", None], "$.flow": ["blueprint.lua", 3]},
    }
    assert FACTS.to_text().startswith(b'{\n  "author": "ada",\n')
    assert FACTS.to_text().endswith(b"}\n")


@pytest.mark.parametrize("facts", [FACTS, FIRST, replace(FIRST, generated=False)])
def test_what_was_said_is_read_back(facts: Facts) -> None:
    assert Facts.from_text(facts.to_text()) == facts


def test_what_people_are_shown_is_plain() -> None:
    strange = replace(FACTS, note=Note("a\x1bda\n", "b\u202ee", 5))
    assert Facts.from_text(strange.to_text()).note == Note("a da", "b e", 5.0)


Spoil = Callable[[dict[str, Any]], object]


def _change(**members: Any) -> Spoil:
    return lambda said: said.update(members)


def _lose(name: str) -> Spoil:
    return lambda said: said.pop(name)


MEMBERS = "meta.json: expected its members as written, got "
FORM = "meta.json: expected an object of form 1"


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (_change(form=2), FORM),
        (_lose("form"), FORM),
        *((_lose(name), f"{MEMBERS}'{name}'") for name in (
            "author", "reason", "written_s", "id", "digest", "label", "parent", "source",
            "generated", "back_to", "files", "lines",
        )),
        *((_change(**{name: 5}), f"{MEMBERS}5") for name in (
            "author", "reason", "id", "digest", "label", "parent", "source", "back_to",
        )),
        (_change(written_s="soon"), f"{MEMBERS}could not convert string to float: 'soon'"),
        (_change(written_s=None), MEMBERS),
        (_change(written_s=10**400), "meta.json: "),
        (_change(digest="ab"), f"{MEMBERS}'ab' for a hash"),
        (_change(digest=PARENT + "0"), MEMBERS),
        (_change(digest=PARENT.upper()), MEMBERS),
        (_change(parent="ab"), f"{MEMBERS}'ab' for a hash"),
        (_change(label="one"), MEMBERS),
        (_change(back_to="1"), MEMBERS),
        (_change(files=[]), MEMBERS),
        (_change(files={"a": 5}), f"{MEMBERS}5"),
        (_change(lines=[]), MEMBERS),
        (_change(lines={"$": 5}), MEMBERS),
        (_change(lines={"$": ["a", 1.5]}), f"{MEMBERS}1.5 for a line"),
        (_change(lines={"$": ["a", True]}), f"{MEMBERS}True for a line"),
        (_change(lines={"$": [5, 1]}), f"{MEMBERS}5"),
    ],
)  # fmt: skip
def test_what_was_not_written_so_is_told(spoil: Spoil, told: str) -> None:
    said = json.loads(FACTS.to_text())
    spoil(said)
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        Facts.from_text(json.dumps(said).encode())


@pytest.mark.parametrize(
    "text", [b"", b"[]", b"5", b"{", b'{"form": 1, "form": 1}', b" " * (4 * 1024 * 1024 + 1)]
)
def test_what_is_no_object_of_facts_is_told(text: bytes) -> None:
    with pytest.raises(ValueError, match=r"^meta\.json: (\$.*: )?expected "):
        Facts.from_text(text)


# -- trees ---------------------------------------------------------------------------------


def test_a_tree_has_the_authors_files_and_two_of_ours() -> None:
    assert FACTS.tree(CONTENTS) == {
        "blueprint.lua": (b"-- hi\n", False),
        "tools/run.sh": (b"#!\n", True),
        "blueprint.json": (document_text(DOCUMENT), False),
        "meta.json": (FACTS.to_text(), False),
    }
    assert FACTS.contents(FACTS.tree(CONTENTS)) == CONTENTS
    assert json.loads(document_text(DOCUMENT)) == DOCUMENT
    assert b'"\xc3\xa9"' in document_text(DOCUMENT), "as its author wrote it"


def _with(**files: tuple[bytes, bool] | None) -> Mapping[str, tuple[bytes, bool]]:
    tree = dict(FACTS.tree(CONTENTS))
    for name, one in files.items():
        place = name.replace("__", "/").replace("_", ".")
        if one is None:
            del tree[place]
        else:
            tree[place] = one
    return tree


OTHER = {**DOCUMENT, "id": "other"}
ANOTHER = f"blueprint.json: expected the document of version {digest_of(DOCUMENT)[:12]}"


@pytest.mark.parametrize(
    ("tree", "told"),
    [
        (_with(blueprint_json=(document_text({**DOCUMENT, "more": 1}), False)), ANOTHER),
        (_with(blueprint_json=(document_text(DOCUMENT) + b"\n", False)), ANOTHER),
        (_with(blueprint_json=(b"{", False)), "blueprint.json: $: expected JSON, got "),
        (_with(blueprint_lua=(b"-- ho\n", False)), "blueprint.lua: expected the file that meta"),
        (_with(tools__run_sh=None), "tools/run.sh: expected the file that meta.json speaks of"),
        (_with(a_txt=(b"", False)), "a.txt: expected the file that meta.json speaks of"),
    ],
)
def test_a_tree_that_is_not_what_it_says_is_told(
    tree: Mapping[str, tuple[bytes, bool]], told: str
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(told)}"):
        FACTS.contents(tree)


def test_facts_of_another_document_or_without_its_source_are_told() -> None:
    other = replace(CONTENTS, document=OTHER)
    facts = replace(Facts.of(other, NOTE, label="1.0.0", parent=None, back_to=None), blueprint="x")
    with pytest.raises(ValueError, match=r"^blueprint\.json: expected the document of 'x'$"):
        facts.contents(facts.tree(other))
    facts = replace(FACTS, source="nothing.lua")
    with pytest.raises(ValueError, match=r"^nothing\.lua: expected the source of the document"):
        facts.contents(facts.tree(CONTENTS))


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        (FACTS, "review 1.2.0, back to 1.0.0\n\nbecause\n"),
        (FIRST, "review 1.0.0\n\nbecause\n"),
        (replace(FIRST, note=Note("ada", "", 1)), "review 1.0.0\n"),
    ],
)
def test_a_message_shows_what_became(facts: Facts, said: str) -> None:
    assert message_of(facts) == said


def test_what_is_damaged_is_told_by_its_entry() -> None:
    error = damaged("review", "0123456789abcdef", "why")
    assert (error.code, error.values) == (
        "version.damaged", {"blueprint": "review", "commit": "0123456789abcdef"},
    )  # fmt: skip
    assert error.message == (
        "review: entry 0123456789ab: why \u2014 swarm blueprint verify --repair"
    )


# -- drafts --------------------------------------------------------------------------------

DRAFT = Draft("review", CONTENTS.files, "blueprint.lua", NOTE, ("a: b", "\u00e9"))


def test_a_draft_is_read_back_from_its_files() -> None:
    files = draft_files(DRAFT)
    assert sorted(files) == ["draft.json", "files/blueprint.lua", "files/tools/run.sh"]
    assert files["files/tools/run.sh"] == (b"#!\n", True)
    assert files["draft.json"][1] is False
    assert json.loads(files["draft.json"][0]) == {
        "id": "review", "author": "ada", "reason": "because", "written_s": 1000.5,
        "source": "blueprint.lua", "problems": ["a: b", "\u00e9"],
    }  # fmt: skip
    tree = {path: File(*one) for path, one in files.items()}
    assert draft_of("review", tree) == DRAFT
    # What stands elsewhere is none of the author's.
    assert draft_of("review", {**tree, "more": File(b"x")}) == DRAFT


def test_what_is_no_draft_is_told() -> None:
    with pytest.raises(ValueError, match=r"^draft\.json: \$: expected JSON, got "):
        draft_of("review", {"draft.json": File(b"{")})
    with pytest.raises(KeyError):
        draft_of("review", {"draft.json": File(b"{}")})
    with pytest.raises(KeyError):
        draft_of("review", {})


def test_what_no_json_has_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        document_text({"a": float("nan")})
