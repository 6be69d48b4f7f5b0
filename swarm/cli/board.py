"""The live board of a run on a terminal: what ended scrolls by, what runs stays below."""

from __future__ import annotations

from time import monotonic
from types import TracebackType

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.text import Text

from swarm.cli.paper import fold, visible
from swarm.cli.progress import describe, label
from swarm.core.events import STEP_ENDS, Event

__all__ = ("Board",)

_MOST_ROWS = 8  # a fanout of thousands must not push the shell's history away
_COLOURS = {"✓": "green", "✗": "red", "▸": "cyan"}


class Board:
    """Shows the events of one run; a context manager, because it owns the screen's end.

    The rows are drawn by rich's own thread, a few times a second: an event only changes
    what the next drawing finds, so nothing flickers however fast steps are.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)
        self._running: dict[str, tuple[str, float]] = {}
        self._spinner = Spinner("dots")
        self._live = Live(
            self,
            console=self._console,
            transient=True,
            refresh_per_second=8,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> Board:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, e: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._live.stop()

    def show(self, event: Event) -> None:
        """Show one event."""
        if event["kind"] == "step.started":
            self._running[event["key"]] = (visible(label(event)), monotonic())
            return
        if event["kind"] in STEP_ENDS and "key" in event:
            self._running.pop(event["key"], None)
        line = describe(event)
        if line is not None:
            folded = "\n".join(fold(visible(line), self._console.width))
            self._console.print(Text(folded, style=_COLOURS.get(line[0], "dim")))

    def __rich__(self) -> RenderableType:
        running = list(self._running.values())
        rows: list[RenderableType] = [
            self._row(name, since) for name, since in running[:_MOST_ROWS]
        ]
        if len(running) > _MOST_ROWS:
            rows.append(Text(f"  and {len(running) - _MOST_ROWS} more", style="dim"))
        return Group(*rows)

    def _row(self, name: str, since: float) -> RenderableType:
        spinner = self._spinner.render(monotonic())
        return Text.assemble(str(spinner), " ", name, (f": {monotonic() - since:.0f} s", "dim"))
