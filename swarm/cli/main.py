"""`swarm`: finds the command, runs it, turns what it could not do into an exit code.

Knows the commands' names and one-line helps only; a command's module is imported when
it is called, so that `swarm --help` answers at once.
"""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module

import click
from click.exceptions import NoSuchCommand

from swarm.cli.exits import Exit, say
from swarm.cli.streams import open_missing, settle
from swarm.errors import Denied, Refused, SwarmError

__all__ = ("COMMANDS", "invoke", "main")

# Name -> help; the module is swarm.cli.<name>, the command in it `command`.
COMMANDS = {
    "run": "Run a blueprint to its end and print the final context.",
    "check": "Print every problem of a blueprint, one a line.",
    "build": "Print a blueprint as its canonical JSON document.",
    "graph": "Print a blueprint's flow as a picture.",
    "init": "Make a small project that passes its own tests.",
    "test": "Run the tests beside blueprints, with scripted agents and no clock.",
    "serve": "Serve a store over HTTP, until it is told to end.",
    "dev": "Serve a store, and compile what is saved in a folder of blueprints.",
    "doctor": "Say what this machine gives to scripts, and how a store is.",
    "blueprint": "Keep versions of blueprints: register, compare, tag, go back.",
    "runs": "List, show, resume, pause, cancel and repeat runs.",
    "enhance": "Improve blueprints: submit issues, show, approve or reject what waits.",
    "audit": "Read, verify and prove the log of what was done.",
    "operator": "Join a host as an operator: at a terminal, or with a command.",
    "token": "Mint, inspect, narrow and revoke tokens; print who may do what.",
}


# What a host, which is no command, cannot know: where to look next.
_HINTS = {
    "enhance.frozen": "swarm enhance freeze --off",
    "run.unknown": "swarm runs list",
    "version.unknown": "swarm blueprint list",
}

_MAIN = threading.main_thread()


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = import_module(f"swarm.cli.{cmd_name}").command
        if not gc.isenabled():
            gc.freeze()
            gc.enable()
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] == "run" and any(word.endswith(".lua") for word in args):
            ctx.obj = _child()
        try:
            return super().resolve_command(ctx, args)
        except NoSuchCommand as e:
            raise NoSuchCommand(e.command_name, possibilities=COMMANDS, ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def _child() -> object:
    """Start what will run the blueprint's script, while the command is being imported."""
    from swarm.lua.process import ProcessUnavailable, ScriptProcess

    with suppress(ProcessUnavailable):
        return ScriptProcess()
    return None  # The host finds out as well, and says it.


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lua-swarm", prog_name="swarm")
def _swarm() -> None:
    """Run flows of agents, written in Lua."""


def invoke(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code; never raises for wrong input."""
    try:
        return int(_swarm.main(list(arguments), prog_name="swarm", standalone_mode=False) or 0)
    except click.ClickException as e:
        e.show()
        return e.exit_code
    except (click.Abort, KeyboardInterrupt):
        say("interrupted")
        return Exit.INTERRUPTED
    except SwarmError as e:
        say(f"{e.code}: {e}{_next(e)}")
        if isinstance(e, Denied):
            return Exit.DENIED
        return Exit.WRONG if isinstance(e, Refused) else Exit.FAILED
    except BrokenPipeError:
        # Whoever reads our stdout has gone (`swarm build x | head`): nothing left to say.
        settle(sys.stdout)
        return Exit.FAILED
    except OSError as e:
        settle(sys.stdout)
        why = (e.strerror or str(e)).lower()
        say(why if e.filename is None else f"{os.fsdecode(e.filename)}: {why}")
        return Exit.FAILED


def _next(error: SwarmError) -> str:
    """Say which command shows what there is, or helps, where the sentence does not."""
    hint = _HINTS.get(error.code)
    return "" if hint is None or " — " in str(error) else f" — {hint}"


def main() -> None:
    """Run the command line of this process and exit.

    A function in a thread cannot be stopped. One that was abandoned, because its step was
    cancelled or took too long, does not keep the process from leaving.
    What a start imports lives as long as the process: looking for garbage in it finds none,
    and would take a quarter of the start. It is looked for from the command on.
    """
    gc.disable()
    open_missing()
    code = invoke(sys.argv[1:])
    if any(not thread.daemon for thread in threading.enumerate() if thread is not _MAIN):
        settle(sys.stdout)
        settle(sys.stderr)
        os._exit(code)
    sys.exit(code)
