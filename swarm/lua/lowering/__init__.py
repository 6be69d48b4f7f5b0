"""Plain Lua becomes a flow: a function of the script is lowered to nodes, never run.

`lower_plain` takes what the author runtime tells of the function (`closures.lua`) and the
texts of the files. What a part is about, its first line says:

    known, names, free      what names stand for            facts, exits   read off the text
    work, values, ops       the flow under construction     refusal        what cannot be
    expressions, operators, elements, texts, library, calls                values
    statements, loops, lanes, raising, writes, inlining, helpers           what is done
    counts, several         calls that give more than one value
    aliasing                no table under two names, by:   access, origins, liveness, handed
    finish                  the wire, lines

The parts call each other through `work.Lowers`. `docs/plain-lua.md` says what is lowered,
what is refused and why, and where a flow differs from Lua.
"""

from __future__ import annotations

from swarm.lua.lowering.lowering import ROOT, ROUNDS, PlainFlow, lower_plain

__all__ = ("ROOT", "ROUNDS", "PlainFlow", "lower_plain")
