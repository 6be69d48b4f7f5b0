"""`python -m swarm`: the command, where it is not on the path."""

from swarm.cli.main import main

if __name__ == "__main__":
    main()
