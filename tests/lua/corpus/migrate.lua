local flow = require "flow"
local list_tables, copy_rows, verify, rollback = flow.fn "list_tables", flow.fn "copy_rows", flow.fn "verify", flow.fn "rollback"

local BATCH = 100

local function copy_table(name, rows)
  local copied = 0
  local offset = 0
  while offset < rows do
    local n = copy_rows { table = name, offset = offset, limit = BATCH }
    if n == 0 then break end
    copied = copied + n
    offset = offset + BATCH
  end
  return copied
end

return flow.blueprint {
  id = "migrate",
  agents = { list_tables, copy_rows, verify, rollback },
  flow = function(ctx)
    local tables = list_tables(ctx.source)
    local done = {}
    local failed = {}
    for _, t in ipairs(tables) do
      local ok, err = pcall(function()
        local copied = copy_table(t.name, t.rows)
        if not verify { table = t.name, rows = copied } then
          error("migrate.mismatch", "table " .. t.name .. " has " .. copied .. " rows")
        end
        done[#done + 1] = t.name
      end)
      if not ok then
        failed[t.name] = err.message
        if ctx.strict then
          for i = #done, 1, -1 do
            rollback { table = done[i] }
          end
          return { ok = false, failed = failed }
        end
      end
    end
    return { ok = next(failed) == nil, done = done, failed = failed }
  end,
}
