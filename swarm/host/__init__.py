"""`swarm.Host`: what an app embeds, and where the real parts are put together."""
