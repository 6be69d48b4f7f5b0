-- A little dungeon: the player answers until they leave or die.
local flow = require "flow"
local player = flow.fn "player"
local dice = flow.fn "dice"

local rooms = {
  hall = { north = "library", east = "kitchen" },
  library = { south = "hall" },
  kitchen = { west = "hall", down = "cellar" },
  cellar = { up = "kitchen" },
}

return flow.blueprint {
  id = "dungeon",
  agents = { player, dice },
  flow = function(ctx)
    local here = "hall"
    local health = ctx.health or 10
    local seen = { hall = true }
    local moves = 0
    while health > 0 do
      moves = moves + 1
      local command = player { room = here, exits = rooms[here], health = health }
      if command == "quit" then
        break
      elseif command == "fight" then
        local roll = dice { sides = 6 }
        health = health - roll
      elseif rooms[here][command] then
        here = rooms[here][command]
        seen[here] = true
      else
        ctx.confused = (ctx.confused or 0) + 1
      end
      if moves >= 20 then break end
    end
    local visited = {}
    for room in pairs(seen) do
      visited[#visited + 1] = room
    end
    table.sort(visited)
    return { alive = health > 0, room = here, visited = visited, moves = moves }
  end,
}
