"""Layers that every host has, one a file; `shipped` lists them."""
