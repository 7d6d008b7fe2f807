-- Describes streams: those of a range of names, or one.
-- KEYS: 1 names, 2 cut    ARGV: 1 pages, 2 what the keys of streams begin with, 3 and 4 the range, 5 at most so many
-- gives per stream: name, first version (negative: ended), length, last position, first event's head, last event's head
local cuts = call('HLEN', KEYS[2]) > 0
local answer = {}
for _, name in ipairs(call('ZRANGEBYLEX', KEYS[1], ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])) do
  local key = ARGV[2] .. name
  local cut = cuts and call('HGET', KEYS[2], name) or 1
  local oldest, last = tonumber(call('LINDEX', key, 0)), tonumber(call('LINDEX', key, -1))
  for _, v in ipairs({name, tonumber(cut), call('LLEN', key), last, sub(event_at(oldest), 1, 16), sub(event_at(last), 1, 16)}) do
    answer[#answer + 1] = v
  end
end
return answer
