-- Gives messages to a member whose lease holds, and nothing to another: it is the fence. Of streams that were rich the
-- member has read just before, in the same transaction, since reading in a script costs the server twice as much; where
-- it should not have, that is undone here.
-- ARGV: group, member, ms by which to prolong the lease (0: take messages), how many messages, a number that grows; then for
-- each stream that was read: its number, the id after which that was, how many at most.
-- Answer: 1 when partitions are to be given up once they are answered; where to wait (key, id, …) and for how many ms at
-- most (-1: as long as one likes); the messages, as stream number, list of entries, counts of deliveries (empty: all are
-- new), …; the numbers of streams whose reading was undone.
local group, me = ARGV[1], ARGV[2]
local lease, limit, turn = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local members, owners, waker, paused = of_group(group)
local time = now()

local till = redis.call('ZSCORE', members, me)
if not till or tonumber(till) <= time then
  if #ARGV > 5 then bury(group, me) end -- with what it has just read
  return redis.error_reply('LXLOST the lease is over')
end
if lease > 0 then redis.call('ZADD', members, time + lease, me) end
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', members, '-inf', time)) do bury(group, dead) end

-- Each member is to hold an equal share of the partitions. What is too much goes when none of its messages is open.
local names = redis.call('ZRANGE', members, 0, -1)
table.sort(names)
local place = 0
for i, name in ipairs(names) do
  if name == me then place = i - 1 end
end
local share = math.floor(partitions / #names)
if place < partitions % #names then share = share + 1 end
local owner = {}
local all = redis.call('HGETALL', owners)
for i = 1, #all, 2 do owner[tonumber(all[i])] = all[i + 1] end
local mine, gone, draining = {}, false, 0
for n = 0, partitions - 1 do
  if owner[n] == me then
    if #mine < share then
      mine[#mine + 1] = n
    elseif #redis.call('XPENDING', stream(n), group, '-', '+', 1, me) == 0 then
      redis.call('HDEL', owners, n)
      gone = true
    else
      draining = 1
    end
  end
end
for n = 0, partitions - 1 do
  if #mine < share and not owner[n] then
    redis.call('HSET', owners, n, me)
    mine[#mine + 1] = n
  end
end
if gone then wake(waker) end
mine[#mine + 1] = free
if lease > 0 then return {draining, {}, -1, {}, {}} end

-- Messages whose pause is over belong to nobody again.
local due = redis.call('ZRANGEBYSCORE', paused, '-inf', time, 'LIMIT', 0, 1000)
for _, place in ipairs(due) do
  local n, id = string.match(place, '^(%d+):(.*)$')
  redis.call('XCLAIM', stream(tonumber(n)), group, '-', 0, id, 'JUSTID')
  redis.call('ZREM', paused, place)
end
if #due > 0 then wake(waker) end -- others may hold their partitions

-- What was read before this script stays where the stream is the member's, and holds nothing that was given back.
local held, read, undone = {}, {}, {}
for _, n in ipairs(mine) do held[n] = true end
for i = 6, #ARGV, 3 do
  local n = tonumber(ARGV[i])
  local key = stream(n)
  read[n] = true
  if not held[n] or #redis.call('XPENDING', key, group, '-', '+', 1, '-') > 0 then
    for _, e in ipairs(redis.call('XPENDING', key, group, '(' .. ARGV[i + 1], '+', ARGV[i + 2], me)) do
      redis.call('XCLAIM', key, group, '-', 0, e[1], 'RETRYCOUNT', 0, 'JUSTID')
    end
    undone[#undone + 1] = n
    read[n] = nil
    if not held[n] then wake(waker) end
  end
end

local found = {}
local function give(n, entries, counts)
  if #entries == 0 then return end
  found[#found + 1] = n
  found[#found + 1] = entries
  found[#found + 1] = counts
  limit = limit - #entries
end

local function take(n)
  local key = stream(n)
  -- What members have given back, or left behind, comes before what is new.
  local back = redis.call('XPENDING', key, group, '-', '+', math.min(limit, 1000), '-')
  local behind = limit - #back
  if #back > 0 then
    local ids, times = {}, {}
    for j, e in ipairs(back) do
      ids[j] = e[1]
      times[e[1]] = e[4] + 1
    end
    local entries, counts, there = {}, {}, {}
    for _, e in ipairs(redis.call('XCLAIM', key, group, me, 0, unpack(ids))) do
      if e and e[2] then
        entries[#entries + 1] = e
        counts[#counts + 1] = times[e[1]]
        there[e[1]] = true
      end
    end
    for _, id in ipairs(ids) do
      if not there[id] then redis.call('XACK', key, group, id) end -- trimmed, as was asked for
    end
    give(n, entries, counts)
  end
  if behind > 0 and #back < 1000 then
    local new = redis.call('XREADGROUP', 'GROUP', group, me, 'COUNT', behind, 'STREAMS', key, '>')
    if new then give(n, new[1][2], {}) end
  end
end
for i = 1, #mine do
  local n = mine[(turn + i) % #mine + 1]
  if limit <= 0 then break end
  if not read[n] then take(n) end
end
if #found > 0 then return {draining, {}, -1, found, undone} end

local waits = {waker, '0-0'}
local last = redis.call('XREVRANGE', waker, '+', '-', 'COUNT', 1)
if #last > 0 then waits[2] = last[1][1] end
for _, n in ipairs(mine) do
  waits[#waits + 1] = stream(n)
  waits[#waits + 1] = field(group_of(stream(n), group), 'last-delivered-id')
end
local pause = -1
local next = redis.call('ZRANGE', paused, 0, 0, 'WITHSCORES')
if #next > 0 then pause = math.max(1, next[2] - time) end
return {draining, waits, pause, {}, undone}
