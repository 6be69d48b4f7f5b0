"""Ways to do a step, one kind a module."""
