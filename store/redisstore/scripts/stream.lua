-- Reads a page of one stream.
-- KEYS: 1 the stream, 2 cut
-- ARGV: 1 pages, 2 the stream's name, 3 and 4 the lowest and the highest version (0: the last), 5 at most so many,
--       6 '1' for backwards, 7 stop after so many bytes
-- gives {version of the stream, position, event, position, event…}
local length = call('LLEN', KEYS[1])
local first = math.abs(tonumber(call('HGET', KEYS[2], ARGV[2]) or 1))
local version = length > 0 and first + length - 1 or 0
local low, high = math.max(tonumber(ARGV[3]), first), tonumber(ARGV[4])
if high == 0 or high > version then high = version end
local answer = {version}
if low > high then return answer end
local backwards = ARGV[6] == '1'
if backwards then
  low = math.max(low, high - ARGV[5] + 1)
else
  high = math.min(high, low + ARGV[5] - 1)
end
local positions = call('LRANGE', KEYS[1], low - first, high - first)
local bytes, most = 0, tonumber(ARGV[7])
local function give(position, e)
  answer[#answer + 1] = position
  answer[#answer + 1] = e
  bytes = bytes + #e
end
if backwards then
  for i = #positions, 1, -1 do
    local position = tonumber(positions[i])
    give(position, event_at(position))
    if bytes >= most then break end
  end
  return answer
end
local i = 1
while i <= #positions and bytes < most do
  -- Neighbours in the log are read together.
  local position, n = tonumber(positions[i]), 1
  local room = page_events - (position - 1) % page_events
  while n < room and n < 64 and tonumber(positions[i + n]) == position + n do n = n + 1 end
  local at = (position - 1) % page_events
  for j, e in ipairs(call('LRANGE', page_of(position), at, at + n - 1)) do give(position + j - 1, e) end
  i = i + n
end
return answer
