-- Appends commits, one after the other: each is checked against the log and what those before it in the batch add, and
-- is refused alone. Nothing is written before all are checked, and what could make a write fail is checked as well.
--
-- KEYS: 1 meta, 2 ids, 3 cut, 4 names, then those of streams, then those of indexes (categories, types, tags); the plan
--       names the latter by their number, from 1
-- ARGV: 1 pages, 2 channel, 3 schema, 4 to 6 where the names of streams, types and tags begin in their keys, 7 the plan,
--       then the events. An event's head (version, time) is filled in by the caller where the version is the one it expects;
--       where it is not, or where the time is not about that of this server, the head is made here: a copy, which is dear
-- plan: one flat list of numbers, since tables are what costs most here:
--       the caller's time, streams, 1 where there are conditions, then per commit: parts, events, items of its condition (-1: none); then
--       per part: stream, category, expected (-1 any, -2 exists), 1 to end the stream, events; then
--       per event: indexes, their numbers (the type's, the tags'); then, of the condition: after; then
--       per item: types, their numbers, tags, their numbers
-- gives {head before, this server's time, per commit: version | {versions…} | {code, …}}
local pack, format = struct.pack, string.format
local first = 7 -- ARGV[first + i] is event i
local meta = call('HMGET', KEYS[1], 'schema', 'head')
if meta[1] ~= ARGV[3] then return redis.error_reply('LXSTORE schema ' .. (meta[1] or 'none')) end
local base = tonumber(meta[2])
local plan = cmsgpack.unpack(ARGV[first])
local count = #ARGV - first
local streams, conditions = plan[2], plan[3] == 1
local stream_key, index_key = 4, 4 + streams -- KEYS[stream_key + k] is stream k

local ids, known = {}, {}
for i = 1, count do ids[i] = sub(ARGV[first + i], 17, 32) end
for i = 1, count, 1000 do
  local found = call('HMGET', KEYS[2], unpack(ids, i, math.min(i + 999, count)))
  for j = 1, #found do
    if found[j] then known[i + j - 1] = true end
  end
end

-- What could make a write fail shows here: a key of another program among ours. It fails the commits that need it.
local bad
local version, oldest, ended = {}, {}, {}
local cuts = call('HLEN', KEYS[3]) > 0
for k = 1, streams do
  local key = KEYS[stream_key + k]
  local length = pcall('LLEN', key)
  if type(length) ~= 'number' then
    bad = bad or {}
    bad[key] = true
  elseif cuts and length > 0 then
    local cut = call('HGET', KEYS[3], sub(key, ARGV[4]))
    if cut then
      cut = tonumber(cut)
      oldest[k], ended[k] = math.abs(cut), cut < 0
      length = length + oldest[k] - 1
    end
  end
  version[k] = length
end
for k = index_key + 1, #KEYS do
  if type(pcall('LLEN', KEYS[k])) ~= 'number' then
    bad = bad or {}
    bad[KEYS[k]] = true
  end
end
call('ZCARD', KEYS[4])
if call('LLEN', page_of(base + 1)) ~= base % page_events then
  return redis.error_reply('LXCORRUPT page of position ' .. text(base + 1))
end
for n = floor(base / page_events) + 1, floor((base + count - 1) / page_events) do
  if call('EXISTS', pages .. n) == 1 then return redis.error_reply('LXCORRUPT page ' .. n) end
end

local head = base
local staged_ids, staged = {}, {}               -- ids, and by position: where the plan has the event's indexes
local added = {}                                -- positions to add to indexes, as text, by number
local pushes, pushed = {}, 0                    -- per part: stream, number of positions, positions
local fresh, endings = {}, {}                   -- names of new streams; names and cuts of ended ones
local events, new_ids = {}, {}
local time = now()
local on_time = math.abs(plan[1] - time) < 20000
local stamp = pack('>I8', time)

-- Whether an item of a condition selects the event at a position that an index has named for it. types and tags are
-- lists of numbers, the position is text.
local function selects(types, tags, position, index_decides)
  local at = staged[position]
  local has
  if at then
    if index_decides then return true end
    has = {}
    for i = at + 1, at + plan[at] do has[KEYS[index_key + plan[i]]] = true end
  else
    local e = event_at(tonumber(position))
    if not e or e == '' then return false end
    if index_decides then return true end
    local event_type, event_tags = facts(e)
    has = {}
    for _, k in ipairs(types) do
      if sub(KEYS[index_key + k], ARGV[5]) == event_type then has[KEYS[index_key + k]] = true end
    end
    for _, k in ipairs(tags) do
      local name = sub(KEYS[index_key + k], ARGV[6])
      for _, tag in ipairs(event_tags) do
        if tag == name then has[KEYS[index_key + k]] = true end
      end
    end
  end
  for _, k in ipairs(tags) do
    if not has[KEYS[index_key + k]] then return false end
  end
  for _, k in ipairs(types) do
    if has[KEYS[index_key + k]] then return true end
  end
  return #types == 0
end

-- The newest position after another one that an index lists and the item selects.
local function newest(k, after, types, tags, index_decides)
  local new = added[k] or {}
  for i = #new, 1, -1 do
    if tonumber(new[i]) <= after then return nil end
    if selects(types, tags, new[i], index_decides) then return tonumber(new[i]) end
  end
  local last, size = -1, 1
  while true do
    local some = call('LRANGE', KEYS[index_key + k], last - size + 1, last)
    for i = #some, 1, -1 do
      local position = tonumber(some[i])
      if position <= after then return nil end
      if selects(types, tags, some[i], index_decides) then return position end
    end
    if #some < size then return nil end
    last, size = last - size, 64
  end
end

-- The verdict on the condition that begins at a place of the plan, and where it ends.
local function broken(at, items)
  local after = plan[at]
  at = at + 1
  local verdict
  for _ = 1, items do
    local types, tags = {}, {}
    for _, list in ipairs({types, tags}) do
      for i = 1, plan[at] do
        list[i] = plan[at + i]
        if bad and bad[KEYS[index_key + list[i]]] then verdict = {'W', KEYS[index_key + list[i]]} end
      end
      at = at + 1 + #list
    end
    if not verdict then
      local found
      if #tags > 0 then -- along the rarest tag
        local rarest, least
        for _, k in ipairs(tags) do
          local n = call('LLEN', KEYS[index_key + k])
          if not least or n < least then rarest, least = k, n end
        end
        found = newest(rarest, after, types, tags, #tags == 1 and #types == 0)
      else
        for _, k in ipairs(types) do found = found or newest(k, after, types, tags, true) end
      end
      if found then verdict = {'C', found} end
    end
  end
  return verdict, at
end

-- The verdict on the parts that begin at a place of the plan, nil if all may be appended; and where they end.
local function check(at, parts)
  local verdict
  for i = 1, parts do
    local k, expected = plan[at], plan[at + 2]
    local v = version[k]
    local n = plan[at + 4]
    if not verdict then
      if bad and bad[KEYS[stream_key + k]] then
        verdict = {'W', KEYS[stream_key + k]}
      elseif ended[k] then
        verdict = {'D', i}
      elseif expected >= 0 and v ~= expected or expected == -2 and v == 0 then
        verdict = {'V', i, v}
      elseif bad and bad[KEYS[index_key + plan[at + 1]]] then
        verdict = {'W', KEYS[index_key + plan[at + 1]]}
      end
    end
    at = at + 5
    for _ = 1, n do
      local indexes = plan[at]
      if bad and not verdict then
        for j = at + 1, at + indexes do
          if bad[KEYS[index_key + plan[j]]] then verdict = {'W', KEYS[index_key + plan[j]]} end
        end
      end
      at = at + 1 + indexes
    end
  end
  return verdict, at
end

local function add(k, position)
  local list = added[k]
  if list then list[#list + 1] = position else added[k] = {position} end
end

-- Adds the parts that begin at a place of the plan, whose first event is the given one.
local function accept(at, parts, event)
  local versions
  for i = 1, parts do
    local k, category, n = plan[at], plan[at + 1], plan[at + 4]
    local v = version[k]
    if v == 0 then
      fresh[#fresh + 1] = 0
      fresh[#fresh + 1] = sub(KEYS[stream_key + k], ARGV[4])
    end
    if plan[at + 3] == 1 then
      ended[k] = true
      endings[#endings + 1] = sub(KEYS[stream_key + k], ARGV[4])
      endings[#endings + 1] = -(oldest[k] or 1)
    end
    pushes[pushed + 1], pushes[pushed + 2] = k, n
    pushed = pushed + 2
    local as_expected = on_time and plan[at + 2] >= 0
    at = at + 5
    for _ = 1, n do
      head, v = head + 1, v + 1
      local id = ids[event]
      local slot = head - base
      local position = format('%d', head) -- once: commands would convert the number each time, which is dear
      if as_expected then
        events[slot] = ARGV[first + event]
      else
        events[slot] = pack('>I8', v) .. stamp .. sub(ARGV[first + event], 17)
      end
      new_ids[2 * slot - 1], new_ids[2 * slot] = id, position
      pushed = pushed + 1
      pushes[pushed] = position
      staged_ids[id] = true
      if conditions then staged[position] = at end
      add(category, position)
      local indexes = plan[at]
      for j = at + 1, at + indexes do add(plan[j], position) end
      at = at + 1 + indexes
      event = event + 1
    end
    version[k] = v
    if parts == 1 then return v end
    versions = versions or {}
    versions[i] = v
  end
  return versions
end

local answer, answers = {base, time}, 2
local at, event = 4, 1
while event <= count do
  local parts, n, items = plan[at], plan[at + 1], plan[at + 2]
  local begin = at + 3
  local verdict, after
  verdict, at = check(begin, parts)
  if items >= 0 then
    after, at = broken(at, items)
    verdict = verdict or after
  end
  for e = event, event + n - 1 do
    if known[e] then
      verdict = {'I'}
      break
    end
    if staged_ids[ids[e]] then verdict = {'A'} end
  end
  answers = answers + 1
  answer[answers] = verdict or accept(begin, parts, event)
  event = event + n
end
if head == base then return answer end

local i, total = 1, head - base
while i <= total do
  local room = page_events - (base + i - 1) % page_events
  local last = math.min(i + math.min(room, 1000) - 1, total)
  call('RPUSH', page_of(base + i), unpack(events, i, last))
  i = last + 1
end
in_parts('HSET', KEYS[2], new_ids, 1000)
local p = 1
while p < pushed do
  local key, n = KEYS[stream_key + pushes[p]], pushes[p + 1]
  p = p + 2
  if n == 1 then
    call('RPUSH', key, pushes[p])
  else
    for j = p, p + n - 1, 1000 do call('RPUSH', key, unpack(pushes, j, math.min(j + 999, p + n - 1))) end
  end
  p = p + n
end
for k, positions in pairs(added) do in_parts('RPUSH', KEYS[index_key + k], positions, 1000) end
in_parts('ZADD', KEYS[4], fresh, 1000)
in_parts('HSET', KEYS[3], endings, 1000)
call('HSET', KEYS[1], 'head', text(head))
pcall('PUBLISH', ARGV[2], text(head)) -- who may not publish still appends
return answer
