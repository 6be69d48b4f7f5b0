"""Grammars at work: the one module that knows lark.

A `Parser` is built once from a grammar file and a table that says what each reduction
makes; the pieces are made while it parses, so nothing here recurses. Knows no grammar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, cast

from lark import Lark, Transformer, UnexpectedCharacters, UnexpectedToken
from lark import __version__ as lark_version
from lark.grammar import Rule
from lark.lark import PostLex
from lark.lexer import TerminalDef

from flowir.tables import Tables, read_tables, stamp_of, tables_path, text_of

__all__ = ("Parser", "Reduction", "Stopped", "Token")


# Options that tables keep; the others are as lark has them, or given anew.
_KEPT = ("start", "parser", "lexer", "maybe_placeholders")


class Token(Protocol):
    """What the lexer hands out: a string that knows its kind and its place."""

    type: str
    line: int
    start_pos: int
    end_pos: int

    def __str__(self) -> str: ...


Reduction: TypeAlias = Callable[[list[Any]], Any]


class Stopped(Exception):
    """Parsing came to something that no rule allows.

    `offset` is where, `got` the text of the token or character there (None at the end),
    `allowed` the names of the terminals that could have stood there, `pending` the tokens
    of the rules that were begun and not ended, the outermost first.
    """

    def __init__(
        self, offset: int, got: str | None, allowed: frozenset[str], pending: tuple[Token, ...]
    ) -> None:
        super().__init__(f"stopped at {offset}")
        self.offset = offset
        self.got = got
        self.allowed = allowed
        self.pending = pending


class Parser:
    """An LALR(1) parser; words are reserved everywhere.

    *imports* are the grammar files that *grammar* imports from; the table speaks of their
    rules and aliases by the names they have there. Terminals are to be imported by name:
    `Stopped` lists no other. *watch* sees every token before it is parsed, and may raise.
    *reserved* names terminals that no rule takes and the lexer knows nevertheless.
    """

    def __init__(
        self,
        grammar: Path,
        table: Mapping[str, Reduction],
        *,
        start: str,
        imports: Sequence[Path] = (),
        reserved: Sequence[str] = (),
        watch: Callable[[Iterator[Token]], Iterator[Token]] = iter,
    ) -> None:
        self._grammar = grammar
        self._imports = tuple(imports)
        self._start = start
        self._stamp = stamp_of(grammar, imports, start, tuple(reserved))
        self._given = {
            "postlex": _Watch(reserved, watch),
            "transformer": _Reductions(table, [path.stem for path in imports]),
        }
        tables = read_tables(grammar, self._stamp, lark_version)
        self._lark: Any = self._worked_out() if tables is None else _restored(tables, self._given)

    def _worked_out(self) -> Any:
        # lark's own annotations are incomplete: what it returns is cast where it enters.
        return cast("Any", Lark).open(
            str(self._grammar),
            start=self._start,
            import_paths=[str(path.parent) for path in self._imports],
            parser="lalr",
            lexer="basic",
            maybe_placeholders=True,
            **self._given,
        )

    def tables(self) -> tuple[Path, str]:
        """Work the tables of the grammar out; return where they are kept, and as what."""
        data, memo = self._worked_out().memo_serialize([TerminalDef, Rule])
        # Paths and objects are of this machine and this moment.
        options = {name: data["options"][name] for name in _KEPT}
        tables = {"data": {**data, "options": options}, "memo": memo}
        return tables_path(self._grammar), text_of(tables, self._stamp, lark_version)

    def parse(self, text: str) -> Any:
        """Parse *text* into what its start rule makes.

        Raises: Stopped; and what the table's functions and *watch* raise.
        """
        parsing = self._lark.parse_interactive(text)
        try:
            for _ in parsing.iter_parse():
                pass
            return parsing.feed_eof()
        except UnexpectedToken as e:
            token: Any = cast("Any", e).token
            ends = token.type == "$END"
            offset = len(text.rstrip()) if ends else token.start_pos
            got = None if ends else str(token)
        except UnexpectedCharacters as e:
            offset = cast("int", cast("Any", e).pos_in_stream)
            got = text[offset]
        raise self._stopped(text, offset, got)

    def _stopped(self, text: str, offset: int, got: str | None) -> Stopped:
        # Parsed once more: with the wrong token in view the parser has closed rules
        # already, and no longer knows what could have continued them.
        parsing = self._lark.parse_interactive(text[:offset])
        for _ in parsing.iter_parse():
            pass
        stack: list[Any] = parsing.parser_state.value_stack
        pending = tuple(piece for piece in stack if hasattr(piece, "start_pos"))
        return Stopped(offset, got, frozenset(parsing.accepts()), pending)


def _restored(tables: Tables, given: Mapping[str, Any]) -> Any:
    """Make a parser of its tables, as lark's own stand-alone parsers do."""
    return cast("Any", Lark)._load_from_dict(**tables, **given)


class _Reductions(Transformer[Any, Any]):
    def __init__(self, table: Mapping[str, Reduction], imported: Sequence[str]) -> None:
        super().__init__()
        # lark calls so what is imported, unless a rule is imported by its name.
        prefixes = ("", *(f"{name}__" for name in imported))
        for name, reduction in table.items():
            for prefix in prefixes:
                setattr(self, prefix + name, reduction)


class _Watch(PostLex):
    def __init__(
        self, reserved: Sequence[str], watch: Callable[[Iterator[Token]], Iterator[Token]]
    ) -> None:
        self.always_accept = tuple(reserved)
        self._watch = watch

    def process(self, stream: Iterator[Any]) -> Iterator[Any]:
        return self._watch(stream)
