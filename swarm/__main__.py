"""The command `swarm`, and `python -m swarm` where it is not on the path.

Ctrl-C ends it in one word and with 130 from here on: what the command imports takes longer
than anything that it does at once, so nothing is imported before.
"""


def main() -> None:
    """Import the command and run it."""
    try:
        from swarm.cli.main import main as command

        command()
    except KeyboardInterrupt:
        _interrupted()


def _interrupted() -> None:
    import os
    import sys
    from contextlib import suppress

    with suppress(OSError):
        # Below the terminal's `^C`, as click does it; `sys.stderr` may be missing yet.
        os.write(2, b"\ninterrupted\n")
    sys.exit(130)


if __name__ == "__main__":
    main()
