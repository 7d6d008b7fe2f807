-- Finds the events that have some ids.
-- KEYS: 1 ids    ARGV: 1 pages, then ids
-- gives position, event, position, event…
local answer = {}
for i = 2, #ARGV, 1000 do
  local found = call('HMGET', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
  for j = 1, #found do
    local position = tonumber(found[j] or nil)
    if position then
      answer[#answer + 1] = position
      answer[#answer + 1] = event_at(position)
    end
  end
end
return answer
