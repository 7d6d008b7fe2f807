-- Removes the oldest events of a stream, some at a time. The last one stays.
-- KEYS: 1 meta, 2 the stream, 3 cut, 4 ids, 5 and 6 values and keys of the records that count removals
-- ARGV: 1 pages, 2 the stream's name, 3 the lowest version to keep, 4 at most so many, 5 what the keys of types begin with,
--       6 those of tags, 7 the category's key, 8 schema
-- gives {removed (-1: no stream), whether to call again}
if call('HGET', KEYS[1], 'schema') ~= ARGV[8] then return redis.error_reply('LXSTORE') end
local length = call('LLEN', KEYS[2])
if length == 0 then return {-1, 0} end
local name = ARGV[2]
local cut = tonumber(call('HGET', KEYS[3], name) or 1)
local first = math.abs(cut)
local n = math.min(tonumber(ARGV[3]), first + length - 1) - first
local again = 0
if n > tonumber(ARGV[4]) then n, again = tonumber(ARGV[4]), 1 end
if n < 0 then n = 0 end

local indexes = {[ARGV[7]] = true}
local ids = {}
local positions = call('LRANGE', KEYS[2], 0, n - 1)
if n == 0 then positions = {} end
for _, position in ipairs(positions) do
  local e = event_at(position)
  ids[#ids + 1] = sub(e, 17, 32)
  local type, tags = facts(e)
  indexes[ARGV[5] .. type] = true
  for _, tag in ipairs(tags) do indexes[ARGV[6] .. tag] = true end
end
local counted = call('HGET', KEYS[5], name)
call('ZCARD', KEYS[6])

in_parts('HDEL', KEYS[4], ids, 1000) -- first: it is allowed when the memory is full, and then so is what follows
if n > 0 then
  for _, position in ipairs(positions) do call('LSET', page_of(position), (position - 1) % page_events, '') end
  call('LTRIM', KEYS[2], n, -1)
  call('HSET', KEYS[3], name, text(cut < 0 and -(first + n) or first + n))
  local total = n
  if counted then total = total + tonumber(sub(counted, 17)) end
  local revision = call('HINCRBY', KEYS[1], 'revision', 1)
  call('HSET', KEYS[5], name, struct.pack('>I8I8', revision, 0) .. text(total))
  call('ZADD', KEYS[6], 0, name)
end

-- What was removed is taken off the ends of the indexes, some at a time; in their middle it stays listed, and readers skip
-- it.
for key in pairs(indexes) do
  for _, off in ipairs({{0, 'LPOP'}, {-1, 'RPOP'}}) do
    local popped = 0
    while true do
      local position = call('LINDEX', key, off[1])
      if not position or alive(tonumber(position)) then break end
      call(off[2], key)
      popped = popped + 1
      if popped > 2 * ARGV[4] then break end
    end
  end
end
return {n, again}
