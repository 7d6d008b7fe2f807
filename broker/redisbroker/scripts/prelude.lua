-- What all scripts share. KEYS[1] is the hash of a topic; its other keys begin with the same hash tag, and follow from it.
local base = string.sub(KEYS[1], 1, -6) -- without "topic"
local partitions = tonumber(redis.call('HGET', KEYS[1], 'partitions') or 0)
local free = partitions -- the number of the stream of messages without a key

local function stream(n)
  if n == free then return base .. 'free' end
  return base .. 'p:' .. n
end

-- The keys of a group: who its members are and until when (a sorted set), who holds which partition (a hash), a stream
-- whose growth wakes those that wait, and which messages pause until when (a sorted set).
local function of_group(group)
  return base .. 'm:' .. group, base .. 'o:' .. group, base .. 'w:' .. group, base .. 'd:' .. group
end

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function wake(key)
  redis.call('XADD', key, 'MAXLEN', 1, '*', 'w', '1')
end

-- field of an answer that is a list of names and values.
local function field(list, name)
  for i = 1, #list, 2 do
    if list[i] == name then return list[i + 1] end
  end
end

-- group_of gives what the server knows of a group on a stream; nil: there is no such group.
local function group_of(key, group)
  for _, g in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    if field(g, 'name') == group then return g end
  end
end

-- before reports whether one entry's id is smaller than another's.
local function before(a, b)
  local ams, aseq = string.match(a, '^(%d+)-(%d+)$')
  local bms, bseq = string.match(b, '^(%d+)-(%d+)$')
  ams, bms = tonumber(ams), tonumber(bms)
  if ams ~= bms then return ams < bms end
  return tonumber(aseq) < tonumber(bseq)
end

-- bury ends a member: what it holds belongs to nobody ("-"), with its count of deliveries, and its partitions are free.
local function bury(group, member)
  local members, owners, waker = of_group(group)
  for n = 0, free do
    local key = stream(n)
    while true do
      local held = redis.call('XPENDING', key, group, '-', '+', 1000, member)
      if #held == 0 then break end
      local ids = {}
      for i, e in ipairs(held) do ids[i] = e[1] end
      ids[#ids + 1] = 'JUSTID' -- the count stays as it is
      redis.call('XCLAIM', key, group, '-', 0, unpack(ids))
    end
    redis.call('XGROUP', 'DELCONSUMER', key, group, member)
  end
  local all = redis.call('HGETALL', owners)
  for i = 1, #all, 2 do
    if all[i + 1] == member then redis.call('HDEL', owners, all[i]) end
  end
  redis.call('ZREM', members, member)
  wake(waker)
end
