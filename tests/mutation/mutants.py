"""One-line mutants of Python source: where they may be made, and what they are.

Each is a change that somebody could make by mistake, of one line: a comparison turned or
moved by one, `and` for `or`, a condition upside down, a number by one more, a statement that
is not there any more. A mutant that is no Python, or whose tree is the same, is none.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise

__all__ = ("Mutant", "drawn", "mutants_of")

_COMPARED: dict[type[ast.cmpop], str] = {
    ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==",
    ast.Is: "is not", ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in",
}  # fmt: skip
_COUNTED: dict[type[ast.operator], str] = {
    ast.Add: "-", ast.Sub: "+", ast.Mult: "+", ast.FloorDiv: "*", ast.Mod: "//",
    ast.BitOr: "&", ast.BitAnd: "|",
}  # fmt: skip
# What may be forgotten. A name that is never given fails wherever it is used, which proves
# nothing: of assignments only those to members count.
_FORGOTTEN = (ast.AugAssign, ast.Raise, ast.Expr, ast.Continue, ast.Break, ast.Delete)


# A line, a place in it, in bytes, and what is to stand there.
_Edit = tuple[int, int, int, str]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed line of a file."""

    file: str
    line: int
    old: str
    new: str

    def applied(self, source: str) -> str:
        """Return *source* with this line changed."""
        lines = source.split("\n")
        lines[self.line - 1] = self.new
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.old.strip()}  →  {self.new.strip()}"


def drawn(sources: dict[str, str], count: int, seed: int) -> list[Mutant]:
    """Draw *count* lines out of all that can be changed, and a change of each.

    A line's lot hangs on its file, its text and the seed, not on where it stands: what is
    written elsewhere meanwhile leaves the draw as it is, but for the lines that are new.
    """
    edits: dict[tuple[str, int], list[_Edit]] = {}
    for file in sorted(sources):
        for edit in _edits(ast.parse(sources[file]), sources[file]):
            edits.setdefault((file, edit[0]), []).append(edit)
    found: list[Mutant] = []
    for _, file, line in sorted(_lots(sources, edits, seed)):
        texts = sorted(edits[file, line], key=lambda edit: _lot(seed, file, *map(str, edit[1:])))
        made = (_made(file, sources[file], edit) for edit in texts)
        mutant = next((one for one in made if one is not None), None)
        if mutant is not None:
            found.append(mutant)
        if len(found) == count:
            break
    return found


def _lots(
    sources: dict[str, str], lines: Iterable[tuple[str, int]], seed: int
) -> Iterator[tuple[str, str, int]]:
    """Yield each line with its lot; of lines that say the same, each has its own."""
    same = Counter[tuple[str, str]]()
    for file, line in sorted(lines):
        text = sources[file].split("\n")[line - 1].strip()
        same[file, text] += 1
        yield _lot(seed, file, text, str(same[file, text])), file, line


def _lot(seed: int, *words: str) -> str:
    return sha256("\0".join((str(seed), *words)).encode()).hexdigest()


def mutants_of(file: str, source: str) -> Iterator[Mutant]:
    """Yield every mutant of a file, in the order of its lines."""
    made = (_made(file, source, edit) for edit in sorted(_edits(ast.parse(source), source)))
    return (mutant for mutant in made if mutant is not None)


def _made(file: str, source: str, edit: _Edit) -> Mutant | None:
    """Return the mutant of an edit; None where it is no Python, or says the same."""
    line, start, end, text = edit
    old = source.split("\n")[line - 1]
    cut = old.encode()
    mutant = Mutant(file, line, old, (cut[:start] + text.encode() + cut[end:]).decode())
    try:
        changed = ast.dump(ast.parse(mutant.applied(source)))
    except SyntaxError:
        return None
    return mutant if changed != ast.dump(ast.parse(source)) else None


def _edits(tree: ast.Module, source: str) -> Iterator[_Edit]:
    for node in _acting(tree):
        match node:
            case ast.Compare(left=left, ops=ops, comparators=others):
                pairs = zip([left, *others], ops, others, strict=False)
                for one, op, other in pairs:
                    if type(op) in _COMPARED:
                        yield from _between(one, other, source, _COMPARED[type(op)])
            case ast.BoolOp(op=op, values=values):
                word = "or" if isinstance(op, ast.And) else "and"
                for one, other in pairwise(values):
                    yield from _between(one, other, source, word)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _COUNTED:
                yield from _between(left, right, source, _COUNTED[type(op)])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield from _instead(node, source, _text(operand, source))
            case ast.Constant(value=bool(value)):
                yield from _instead(node, source, str(not value))
            case ast.Constant(value=int(value)):
                yield from _instead(node, source, str(value + 1))
            case ast.If() | ast.While() | ast.IfExp():
                yield from _instead(node.test, source, f"not ({_text(node.test, source)})")
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield from _instead(node, source, "return None")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield from _instead(node, source, "pass")
            case _ if isinstance(node, _FORGOTTEN):
                yield from _instead(node, source, "pass")
            case _:
                pass


def _acting(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes that do something: no annotations, no texts, no type aliases."""
    stack: list[ast.AST] = [tree]
    while stack:
        node = stack.pop()
        yield node
        for name, value in ast.iter_fields(node):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            items = value if isinstance(value, list) else [value]
            stack.extend(item for item in items if isinstance(item, ast.AST) and not _silent(item))


def _silent(node: ast.AST) -> bool:
    """Tell whether a statement cannot be missed: a docstring, an `__all__`, what is only told."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Assign(targets=[ast.Name(id=name)]):
            return name.startswith("__")
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Import() | ast.ImportFrom():
            return True
        case _:
            return False


def _text(node: ast.expr, source: str) -> str:
    return ast.get_source_segment(source, node) or ""


def _instead(node: ast.expr | ast.stmt, source: str, text: str) -> Iterator[_Edit]:
    if node.lineno == node.end_lineno and "\n" not in text:
        yield node.lineno, node.col_offset, node.end_col_offset or 0, text


def _between(one: ast.expr, other: ast.expr, source: str, word: str) -> Iterator[_Edit]:
    """Put *word* in place of the operator between two operands that share a line."""
    line = source.split("\n")[(one.end_lineno or 1) - 1]
    if one.end_lineno == other.lineno:
        between = line.encode()[one.end_col_offset : other.col_offset].decode()
        closed = between[: len(between) - len(between.lstrip(" )"))]
        opened = between[len(between.rstrip(" (")) :]
        yield (
            other.lineno,
            one.end_col_offset or 0,
            other.col_offset,
            f"{closed.rstrip()} {word} {opened.lstrip()}",
        )
