"""Ways to remember what happened."""
