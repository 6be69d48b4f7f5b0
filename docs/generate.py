"""The reference, written from the code: `python -m docs.generate` (or `make docs`).

    reference/cli.md       commands, arguments and options, from click
    reference/python.md    public names: signatures and first lines
    reference/lua.md       what authors `require`, from the comments in its source
    reference/settings.md  keys of swarm.toml, the environment, what a host is made with
    reference/events.md    what a journal tells, from `swarm.core.events`
    reference/frames.md    what operators and hosts say to each other
    llms.txt               a page a line, for whoever reads by machine

A page that is not what this writes fails a test, so nobody edits them by hand.
"""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import click

__all__ = ("PAGES", "main", "written")

ROOT = Path(__file__).parents[1]
_NOTE = "<!-- Written by `make docs` from the code; edit the code instead. -->"
# What an embedding program, a worker's or a layer's author imports.
_ROOMS = (
    "swarm",
    "flowir",
    "swarm.testing",
    "swarm.operators",
    "swarm.ports.worker",
    "swarm.ports.layer",
)


def _page(title: str, about: str, lines: Iterator[str]) -> str:
    return "\n".join([f"# {title}", "", _NOTE, "", about, "", *lines]).rstrip("\n") + "\n"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if not rows:
        return
    for row in (head, ["---"] * len(head), *rows):
        yield "|" + "".join(f" {_cell(cell)} |" if cell else " |" for cell in row)
    yield ""


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _first(doc: str | None) -> str:
    """Return the first paragraph of a docstring, on one line."""
    return " ".join((inspect.cleandoc(doc or "").split("\n\n")[0]).split())


# -- the command line ----------------------------------------------------------------------


def _cli() -> str:
    from swarm.cli.main import COMMANDS

    about = (
        "Every command prints its result on stdout and all else on stderr. "
        "Exit codes: 0 ok, 1 the run failed, 2 wrong use or an invalid blueprint, "
        "3 waiting for a person or paused, 4 denied, 130 interrupted."
    )

    def lines() -> Iterator[str]:
        for name in COMMANDS:
            yield from _command(("swarm", name), import_module(f"swarm.cli.{name}").command)

    return _page("The command line", about, lines())


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    context = click.Context(command, info_name=path[-1])
    arguments = [p for p in command.params if isinstance(p, click.Argument)]
    words = [argument.make_metavar(context) for argument in arguments]
    yield from (f"{'#' * len(path)} `{' '.join([*path, *words])}`", "")
    yield from (inspect.cleandoc(command.help or "").replace("\b\n", ""), "")
    options = [p for p in command.params if isinstance(p, click.Option)]
    yield from _table(("option", "does"), [_option(option, context) for option in options])
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None  # noqa: S101 - it is in the list
            yield from _command((*path, name), found)


def _option(option: click.Option, context: click.Context) -> tuple[str, str]:
    metavar = "" if option.is_flag else f" {option.make_metavar(context)}"
    names = ", ".join((*option.opts, *option.secondary_opts))
    said = [option.help or ""]
    if option.required:
        said.append("Must be there.")
    if option.multiple:
        said.append("May be repeated.")
    if option.show_default is True:
        said.append(f"Default: {option.default}.")
    if option.envvar:
        said.append(f"Environment: `{option.envvar}`.")
    return f"`{names}{metavar}`", " ".join(filter(None, said))


# -- Python --------------------------------------------------------------------------------


def _python() -> str:
    about = "Public names, their signatures and first lines; `help(name)` tells the rest."

    def lines() -> Iterator[str]:
        for room in _ROOMS:
            module = import_module(room)
            yield from (f"## `{room}`", "", _first(module.__doc__), "")
            for name in module.__all__:
                yield from _named(name, getattr(module, name))

    return _page("The Python API", about, lines())


def _named(name: str, thing: Any) -> Iterator[str]:
    if inspect.isclass(thing):
        yield from (f"### class `{name}`", "", _first(thing.__doc__), "")
        members = [*_members(thing)]
        yield from _table(("member", "does"), members)
    elif callable(thing) and inspect.isroutine(thing):
        yield from (f"### `{_signed(name, thing)}`", "", _first(thing.__doc__), "")
    else:
        yield from (f"### `{name}`", "", f"A constant, or a type: `{_kind(thing)}`.", "")


def _kind(thing: Any) -> str:
    return type(thing).__name__


def _members(thing: type) -> Iterator[tuple[str, str]]:
    if "__init__" in vars(thing) and not hasattr(thing, "_fields"):
        yield f"`{_signed(thing.__name__, thing.__init__)}`", "Make one."
    for name in sorted(vars(thing)):
        member = inspect.getattr_static(thing, name)
        if name.startswith("_") or name == "model_config":
            continue
        if isinstance(member, property):
            yield f"`{name}`", _first(member.__doc__)
        elif isinstance(member, classmethod | staticmethod):
            yield f"`{_signed(name, member.__func__)}`", _first(member.__doc__)
        elif inspect.isfunction(member):
            yield f"`{_signed(name, member)}`", _first(member.__doc__)


def _signed(name: str, function: Callable[..., Any]) -> str:
    """Write a signature without quotes and without `self`."""
    signature = inspect.signature(function)
    kept = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    shown: list[str] = []
    starred = False
    for parameter in kept:
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            shown.append("*")
        starred = starred or parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_POSITIONAL)
        shown.append(_parameter(parameter))
    returns = signature.return_annotation
    tail = "" if returns in (inspect.Signature.empty, "None", None) else f" → {_typed(returns)}"
    waits = "await " if inspect.iscoroutinefunction(function) else ""
    return f"{waits}{name}({', '.join(shown)}){tail}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {parameter.VAR_POSITIONAL: "*", parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    text = stars + parameter.name
    if parameter.annotation is not parameter.empty:
        text += f": {_typed(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        text += f" = {_default(parameter.default)}"
    return text


def _typed(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "…")


def _default(value: Any) -> str:
    plain = value is None or isinstance(value, str | int | float | bool | tuple)
    return repr(value) if plain else "…"


# -- Lua -----------------------------------------------------------------------------------


def _lua() -> str:
    from swarm.cli.stubs import MODULES, functions_of

    about = (
        "What blueprint scripts and tests `require`. The same comments become the stubs "
        "that `swarm init` gives to editors."
    )

    def lines() -> Iterator[str]:
        for module in MODULES:
            yield from (f'## `require "{module}"`', "")
            for one in functions_of(module):
                names = ", ".join(name for name, _, _ in one.parameters)
                shown = f"{one.name}({names})" if one.is_function else str(one.name)
                yield from (f"### `{shown}`", "", " ".join(one.text), "")
                rows = [(f"`{n}`", kind, said) for n, kind, said in one.parameters]
                yield from _table(("parameter", "type", "is"), rows)
                if one.usage:
                    yield from ("```lua", *one.usage, "```", "")

    return _page("The Lua surface", about, lines())


# -- what is read from the source ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Class:
    """A class of data as its source has it: fields with types and defaults."""

    name: str
    bases: tuple[str, ...]
    told: str
    fields: Mapping[str, tuple[str, str]]


def _classes(file: str) -> dict[str, _Class]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    aliases = _Aliases(tree)
    found: dict[str, _Class] = {}
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            fields = {
                one.target.id: (aliases.typed(one.annotation), aliases.valued(one.value))
                for one in node.body
                if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name)
            }
            bases = tuple(ast.unparse(base) for base in node.bases)
            told = _first(ast.get_docstring(node))
            found[node.name] = _Class(node.name, bases, told, fields)
    return found


_BOUNDS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
}


class _Aliases:
    """The names that a module gives to types and numbers, put in their place."""

    def __init__(self, tree: ast.Module) -> None:
        self._named = {
            node.targets[0].id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
        }

    def typed(self, node: ast.expr) -> str:
        """Write a type; bounds stand behind it as words."""
        match node:
            case ast.Name(id=name) if name in self._named:
                return self.typed(self._named[name])
            case ast.BinOp(left=left, right=right, op=ast.BitOr()):
                return f"{self.typed(left)} | {self.typed(right)}"
            case ast.Subscript(value=ast.Name(id="Annotated"), slice=ast.Tuple(elts=[base, field])):
                return ", ".join([self.typed(base), *self._bounds(field)])
            case _:
                return ast.unparse(node)

    def _bounds(self, field: ast.expr) -> Iterator[str]:
        keywords = field.keywords if isinstance(field, ast.Call) else []
        for keyword in keywords:
            if keyword.arg in _BOUNDS:
                yield _BOUNDS[keyword.arg].format(self.valued(keyword.value))

    def valued(self, node: ast.expr | None) -> str:
        """Write a default; numbers are worked out."""
        match node:
            case None:
                return ""
            case ast.Call(func=ast.Name(id="Field"), keywords=keywords):
                return next((self.valued(k.value) for k in keywords if k.arg == "default"), "")
            case ast.Name(id=name) if name in self._named:
                return self.valued(self._named[name])
            case ast.BinOp(left=left, op=ast.Mult(), right=right):
                return str(int(self.valued(left)) * int(self.valued(right)))
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return str(int(self.valued(left)) ** int(self.valued(right)))
            case _:
                return ast.unparse(node)


def _rows_of(one: _Class, without: Sequence[str] = ()) -> list[tuple[str, str, str]]:
    return [
        (f"`{name}`", f"`{kind}`", f"`{default}`" if default else "")
        for name, (kind, default) in one.fields.items()
        if name not in without
    ]


def _settings() -> str:
    about = "What is settled outside of blueprints. A key that there is not is refused by name."

    def lines() -> Iterator[str]:
        project, programs = _classes("swarm/cli/project.py"), _classes("swarm/cli/programs.py")
        policy = _classes("swarm/enhance/policy.py")["Policy"]
        head = ("key", "type", "default")
        yield from ("## `swarm.toml`", "")
        yield "[A project's file](../project.md) shows every key in use."
        yield from ("", *_table(head, _rows_of(project["_Settings"])))
        for table, one in (
            ("processes", programs["ProgramSettings"]),
            ("retention", project["RetentionSettings"]),
            ("enhance", policy),
        ):
            yield from (f"### `[{table}]`", "", one.told, "", *_table(head, _rows_of(one)))
        limits = _classes("swarm/workers/process/limits.py")["Limits"]
        yield from ("### `[processes.limits]` and `[processes.most]`", "", limits.told, "")
        yield from _table(head, _rows_of(limits))
        yield from ("## The environment", "", *_table(("variable", "says"), _ENVIRONMENT))
        yield from ("## `swarm.Host(…)`", "")
        yield from (_first_after("Shape:", _host().__doc__), "")
        rows = [
            (f"`{p.name}`", f"`{_typed(p.annotation)}`", _given(p))
            for p in inspect.signature(_host().__init__).parameters.values()
            if p.name != "self"
        ]
        yield from _table(("parameter", "type", "default"), rows)

    return _page("Settings", about, lines())


_ENVIRONMENT = (
    ("`SWARM_STORE`", "the store's folder, before `store` of `swarm.toml`; `--store` goes before"),
    ("`SWARM_AUTHOR`", "who registers versions and submits issues; else the user's name"),
    ("`NO_COLOR`", "set to anything: no colours on a terminal"),
)


def _host() -> Any:
    return import_module("swarm").Host


def _given(parameter: inspect.Parameter) -> str:
    none = parameter.default is parameter.empty
    return "" if none else f"`{_default(parameter.default)}`"


def _first_after(word: str, doc: str | None) -> str:
    text = " ".join(inspect.cleandoc(doc or "").split())
    return text[text.index(word) :]


def _events() -> str:
    about = (
        "The rows of a run's journal, as `run.events()`, `swarm runs events --json` and "
        "`GET /v1/runs/RUN/events` tell them. Every row has `seq` (1, 2, 3… in the run), "
        "`run` and `time_s` (UTC seconds since 1970) as well."
    )

    def lines() -> Iterator[str]:
        for one in _classes("swarm/core/events.py").values():
            kind = re.fullmatch(r"Literal\['([\w.]+)'\]", one.fields.get("kind", ("", ""))[0])
            if kind is None and one.name.startswith("_"):
                continue
            yield from (f"## `{kind[1] if kind else one.name}`", "", one.told, "")
            rows = [row[:2] for row in _rows_of(one, ("kind",))]
            yield from _table(("member", "type"), rows)

    return _page("Events", about, lines())


def _frames() -> str:
    from swarm.operators.frames import FROM_HOST, FROM_OPERATOR, PROTOCOL

    about = (
        f"The messages of `{PROTOCOL}`, one JSON object each; "
        "[the protocol](../operator-protocol.md) says when they are said, and "
        "[operator-frames.json](../operator-frames.json) has them as JSON Schema. "
        "Every message may have `ack` and `epoch`, and a numbered one `n`."
    )

    def lines() -> Iterator[str]:
        found = _classes("swarm/operators/frames.py")
        head = ("member", "type", "default")
        for title, side in (("From operators", FROM_OPERATOR), ("From the host", FROM_HOST)):
            yield from (f"## {title}", "")
            for kind, model in side.models.items():
                one = found[model.__name__]
                numbered = ", numbered" if "Numbered" in one.bases else ""
                yield from (f"### `{kind}`{numbered}", "", one.told, "")
                yield from _table(head, _rows_of(one, ("type",)))
        yield from ("## What they are made of", "")
        for name in ("Resume", "Limits", "OrderBody", "Usage"):
            one = found[name]
            yield from (f"### `{name}`", "", one.told, "", *_table(head, _rows_of(one)))

    return _page("Frames", about, lines())


# -- for readers by machine ----------------------------------------------------------------


def _llms() -> str:
    """Write the list of pages as llmstxt.org has it: a title, a summary, links with notes."""
    readme = (ROOT / "README.md").read_text("utf-8")
    summary = readme.split("\n\n")[1].replace("\n", " ")
    lines = ["# swarm", "", f"> {summary}", ""]
    listed = (ROOT / "docs/index.md").read_text("utf-8")
    for title, names in _sections(listed):
        lines += [f"## {title}", ""]
        lines += [f"- [{_title(name)}]({name}): {_opening(name)}" for name in names]
        lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    title, names = "Start here", list[str]()
    for line in text.splitlines():
        if line.endswith(":") and not line.startswith("-"):
            if names:
                yield title, names
            title, names = line.rstrip(":"), []
        names += re.findall(r"\]\(([^)#:]+\.md)\)", line)
    yield title, names


def _title(name: str) -> str:
    return (ROOT / "docs" / name).read_text("utf-8").split("\n")[0].removeprefix("# ")


def _opening(name: str) -> str:
    """Return the first sentence of a page."""
    paragraphs = (ROOT / "docs" / name).read_text("utf-8").split("\n\n")[1:]
    plain = next(p for p in paragraphs if not p.startswith(("<!--", "#", "|", "```")))
    line = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", plain.split("\n")[0])
    return line if len(line) <= 200 else line[:199] + "…"


PAGES: Mapping[str, Callable[[], str]] = {
    "reference/cli.md": _cli,
    "reference/python.md": _python,
    "reference/lua.md": _lua,
    "reference/settings.md": _settings,
    "reference/events.md": _events,
    "reference/frames.md": _frames,
    "llms.txt": _llms,
}


def written(name: str) -> str:
    """Return what a page should say."""
    return PAGES[name]()


def main() -> int:
    """Write the pages that are not what they should be, and name them."""
    for name in PAGES:
        file, text = ROOT / "docs" / name, written(name)
        if not file.exists() or file.read_text("utf-8") != text:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, "utf-8")
            sys.stdout.write(f"docs/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
