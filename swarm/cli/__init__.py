"""The command line: one command a file, over the façade `swarm.host`.

Results go to stdout, everything else to stderr. A command returns its exit code.
"""
