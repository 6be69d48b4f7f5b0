"""What authors of blueprints `require`: Lua modules, read by `swarm.lua`."""
