-- Appends commits, one after the other: each is checked against the log and what those before it in the batch add, and
-- is refused alone. Nothing is written before all are checked, and what could make a write fail is checked as well.
--
-- KEYS: 1 meta, 2 ids, 3 cut, 4 names, then those that the plan names by their place
-- ARGV: 1 pages, 2 channel, 3 schema, 4 and 5 where the names of streams and types begin in their keys, 6 where those of
--       tags do, 7 the plan, then the events
-- plan: per commit {parts, condition}; a part is {stream, category, expected (-1 any, -2 exists), events, ends the stream};
--       an event is its type, or {type, tags…}; a condition is {after, items…}; an item is {types, tags}
-- gives {head before, per commit: version | {versions…} | {code, …}}
local first = 7 -- ARGV[first + i] is event i
local meta = call('HMGET', KEYS[1], 'schema', 'head')
if meta[1] ~= ARGV[3] then return redis.error_reply('LXSTORE schema ' .. (meta[1] or 'none')) end
local base = tonumber(meta[2])
local head = base
local plan = cmsgpack.unpack(ARGV[first])
local count = #ARGV - first

local ids, known = {}, {}
for i = 1, count, 1000 do
  local some = {}
  for j = i, math.min(i + 999, count) do
    ids[j] = sub(ARGV[first + j], 1, 16)
    some[#some + 1] = ids[j]
  end
  local found = call('HMGET', KEYS[2], unpack(some))
  for j = 1, #some do
    if found[j] then known[i + j - 1] = true end
  end
end

local cuts = call('HLEN', KEYS[3]) > 0
local staged_ids, staged = {}, {} -- ids, and by position: the event's entry in the plan
local added, touched = {}, {}     -- positions to add, by key; and the keys in order
local sound = {}                  -- keys that hold a list, or nothing
local streams, fresh = {}, {}
local events, new_ids, ended = {}, {}, {}
local stamp

local function is_sound(k)
  if sound[k] == nil then sound[k] = type(pcall('LLEN', KEYS[k])) == 'number' end
  return sound[k]
end

local function stream_at(k)
  local s = streams[k]
  if s then return s end
  local length = pcall('LLEN', KEYS[k])
  if type(length) ~= 'number' then return nil end
  s = {version = length, first = 1, fresh = length == 0}
  if cuts and length > 0 then
    local cut = call('HGET', KEYS[3], sub(KEYS[k], tonumber(ARGV[4])))
    if cut then
      cut = tonumber(cut)
      s.first, s.ended = math.abs(cut), cut < 0
      s.version = length + s.first - 1
    end
  end
  streams[k] = s
  return s
end

local function any(list, is)
  for _, v in ipairs(list) do
    if is(v) then return true end
  end
  return false
end

-- Whether an item of a condition selects the event at a position that an index has named for it.
local function selects(types, tags, position, index_decides)
  local entry = staged[position]
  if entry then
    if index_decides then return true end
    local event_type, event_tags = entry, {}
    if type(entry) == 'table' then event_type, event_tags = entry[1], entry end
    if #types > 0 and not any(types, function(k) return k == event_type end) then return false end
    for _, wanted in ipairs(tags) do
      local found = false
      for i = 2, #event_tags do found = found or event_tags[i] == wanted end
      if not found then return false end
    end
    return true
  end
  local e = event_at(position)
  if not e or e == '' then return false end
  if index_decides then return true end
  local event_type, event_tags = facts(e)
  if #types > 0 and not any(types, function(k) return sub(KEYS[k], tonumber(ARGV[5])) == event_type end) then return false end
  for _, wanted in ipairs(tags) do
    local name = sub(KEYS[wanted], tonumber(ARGV[6]))
    if not any(event_tags, function(tag) return tag == name end) then return false end
  end
  return true
end

-- The newest position after another one that an index lists and the item selects.
local function newest(k, after, types, tags, index_decides)
  local new = added[k] or {}
  for i = #new, 1, -1 do
    if new[i] <= after then return nil end
    if selects(types, tags, new[i], index_decides) then return new[i] end
  end
  local last, size = -1, 1
  while true do
    local some = call('LRANGE', KEYS[k], last - size + 1, last)
    for i = #some, 1, -1 do
      local position = tonumber(some[i])
      if position <= after then return nil end
      if selects(types, tags, position, index_decides) then return position end
    end
    if #some < size then return nil end
    last, size = last - size, 64
  end
end

-- The verdict on a condition: nil if it holds.
local function broken(condition)
  local after = condition[1]
  for i = 2, #condition do
    local types, tags = condition[i][1], condition[i][2]
    for _, list in ipairs({types, tags}) do
      for _, k in ipairs(list) do
        if not is_sound(k) then return {'W', KEYS[k]} end
      end
    end
    local found
    if #tags > 0 then -- along the rarest tag
      local rarest, least
      for _, k in ipairs(tags) do
        local n = call('LLEN', KEYS[k])
        if not least or n < least then rarest, least = k, n end
      end
      found = newest(rarest, after, types, tags, #tags == 1 and #types == 0)
    else
      for _, k in ipairs(types) do
        found = found or newest(k, after, types, tags, true)
      end
    end
    if found then return {'C', found} end
  end
end

local function check_part(i, part)
  local s = stream_at(part[1])
  if not s then return {'W', KEYS[part[1]]} end
  if s.ended then return {'D', i} end
  local expected = part[3]
  if expected >= 0 and s.version ~= expected or expected == -2 and s.version == 0 then return {'V', i, s.version} end
  if not is_sound(part[2]) then return {'W', KEYS[part[2]]} end
  for _, entry in ipairs(part[4]) do
    if type(entry) == 'table' then
      for _, k in ipairs(entry) do
        if not is_sound(k) then return {'W', KEYS[k]} end
      end
    elseif not is_sound(entry) then
      return {'W', KEYS[entry]}
    end
  end
end

local function check(commit, at, n)
  for e = at, at + n - 1 do
    if known[e] then return {'I'} end
    if staged_ids[ids[e]] then return {'A'} end
  end
  for i, part in ipairs(commit[1]) do
    local verdict = check_part(i, part)
    if verdict then return verdict end
  end
  if commit[2] then return broken(commit[2]) end
end

local function add(k, position)
  local list = added[k]
  if not list then
    list = {}
    added[k] = list
    touched[#touched + 1] = k
  end
  list[#list + 1] = position
end

local function accept(commit, at)
  local versions = {}
  for i, part in ipairs(commit[1]) do
    local s = streams[part[1]]
    if s.fresh then
      fresh[#fresh + 1] = 0
      fresh[#fresh + 1] = sub(KEYS[part[1]], tonumber(ARGV[4]))
      s.fresh = false
    end
    for _, entry in ipairs(part[4]) do
      head = head + 1
      s.version = s.version + 1
      events[#events + 1] = struct.pack('>I8', s.version) .. stamp .. ARGV[first + at]
      new_ids[#new_ids + 1] = ids[at]
      new_ids[#new_ids + 1] = head
      staged_ids[ids[at]] = true
      staged[head] = entry
      add(part[1], head)
      add(part[2], head)
      if type(entry) == 'table' then
        for _, k in ipairs(entry) do add(k, head) end
      else
        add(entry, head)
      end
      at = at + 1
    end
    if part[5] then
      s.ended = true
      ended[#ended + 1] = sub(KEYS[part[1]], tonumber(ARGV[4]))
      ended[#ended + 1] = -s.first
    end
    versions[i] = s.version
  end
  if #versions == 1 then return versions[1] end
  return versions
end

stamp = struct.pack('>I8', now())
local answer = {base}
local at = 1
for _, commit in ipairs(plan) do
  local n = 0
  for _, part in ipairs(commit[1]) do n = n + #part[4] end
  answer[#answer + 1] = check(commit, at, n) or accept(commit, at)
  at = at + n
end
if head == base then return answer end

-- A key of another program among ours must show before the first write.
if call('LLEN', page_of(base + 1)) ~= base % page_events then return redis.error_reply('LXCORRUPT page of position ' .. text(base + 1)) end
for n = floor(base / page_events) + 1, floor((head - 1) / page_events) do
  if call('EXISTS', pages .. n) == 1 then return redis.error_reply('LXCORRUPT page ' .. n) end
end
call('ZCARD', KEYS[4])

local i = 1
while i <= #events do
  local position = base + i
  local room = page_events - (position - 1) % page_events
  local last = math.min(i + math.min(room, 1000) - 1, #events)
  call('RPUSH', page_of(position), unpack(events, i, last))
  i = last + 1
end
in_parts('HSET', KEYS[2], new_ids, 1000)
for _, k in ipairs(touched) do in_parts('RPUSH', KEYS[k], added[k], 1000) end
in_parts('ZADD', KEYS[4], fresh, 1000)
in_parts('HSET', KEYS[3], ended, 1000)
call('HSET', KEYS[1], 'head', text(head))
pcall('PUBLISH', ARGV[2], text(head)) -- who may not publish still appends
return answer
