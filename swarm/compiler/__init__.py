"""A blueprint in; every problem, or a compiled blueprint out."""
