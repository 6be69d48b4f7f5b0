-- The critic of critic.md: counts words, and looks for those that want looking up.
local words, hard = 0, nil
for word in input:gmatch("%S+") do
  words = words + 1
  if #word > 12 then hard = hard or word end
end
if words < 8 then return { verdict = "LONGER", words = words } end
if hard then return { verdict = "PLAINER", words = words, word = hard } end
return { verdict = "PASS", words = words }
