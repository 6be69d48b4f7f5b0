"""`swarm serve`: the host of a store on one port, until it is told to end."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import click

from swarm.cli.blueprints import function_option
from swarm.cli.exits import Exit, WrongUse, print_result, say
from swarm.cli.improving import enhancer_of
from swarm.cli.project import find_project, import_functions
from swarm.cli.stores import IN_MEMORY, chosen_store, store_option
from swarm.host.host import Host
from swarm.host.serving import installed, quieten_collector
from swarm.operators import Operators

__all__ = ("bind_option", "command", "served", "serving_host")

_LOOPBACK = ("http://127.", "http://[::1]", "http://localhost")

bind_option = click.option(
    "--bind", default="127.0.0.1:7777", show_default=True, metavar="HOST:PORT", help="Where."
)


@click.command("serve")
@bind_option
@store_option
@function_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines: what happens to it.")
def command(bind: str, store: str | None, functions: tuple[str, ...], as_json: bool) -> int:
    """Serve the store over HTTP (`docs/http.md`) until SIGTERM, or Ctrl-C.

    Who may do what is what tokens say: `swarm token mint`. When it ends, what runs is
    interrupted, and goes on with the next `swarm serve`. Exits with 0, or 130 after Ctrl-C.
    """
    installed()
    host = serving_host(store, functions)
    quieten_collector()
    return served(host, bind, lambda url: _told(url, as_json))


def serving_host(store: str | None, functions: tuple[str, ...]) -> Host:
    """Make the host of a store, with what the project says.

    Raises: WrongUse.
    """
    from swarm.api.server import SHUTDOWN_S

    project = find_project(None)
    folder = chosen_store(store)
    if folder == IN_MEMORY:
        raise WrongUse("serve: expected a store in a folder: tokens are signed with its keys")
    host = Host(folder, shutdown_s=SHUTDOWN_S, includes=project.includes, operators=Operators())
    project.equip(host)
    registered = import_functions(project, functions)
    for name, function in registered.items():
        host.function(name)(function)
    # What was submitted goes on here, and is asked for here.
    enhancer_of(host, project, registered)
    return host


def served(
    host: Host,
    bind: str,
    ready: Callable[[str], None],
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
) -> int:
    """Serve *host* to its end, and do *beside* meanwhile; return the command's exit code."""
    from swarm.api.server import listening, serve

    with listening(bind) as listener:
        received = anyio.run(serve, host.asgi(), listener, ready, beside)
    return Exit.INTERRUPTED if received == signal.SIGINT else Exit.OK


def _told(url: str, as_json: bool) -> None:
    if not url.startswith(_LOOPBACK):
        say(f"{url}: tokens cross this network as they are — put TLS in front of it")
    if as_json:
        print_result(json.dumps({"event": "listening", "url": url}))
    else:
        say(f"listening on {url}")
