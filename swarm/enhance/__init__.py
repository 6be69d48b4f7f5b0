"""Blueprints that improve themselves: what may be proposed, and what it takes to accept it.

Pure: documents in, verdicts and decisions out. Nothing here reads a store, runs a flow or
knows which blueprint it looks at; `swarm.host.enhance` does what these rooms decide.
"""
