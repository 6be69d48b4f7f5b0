"""Where Lua scripts run, and how values reach them; the only room that knows lupa."""
