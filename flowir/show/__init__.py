"""Pictures of a flow: a Mermaid flowchart, a tree of lines, an SVG image."""

from __future__ import annotations

from flowir.show.mermaid import mermaid
from flowir.show.svg import svg
from flowir.show.tree import tree

__all__ = ("mermaid", "svg", "tree")
