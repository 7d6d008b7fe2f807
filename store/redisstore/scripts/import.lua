-- Adds events of another log as they are, all or none, if the log ends where they go on.
-- KEYS: 1 meta, 2 ids, 3 cut, 4 names, 5 and 6 values and keys of the records that count removals, then those of streams,
--       then those of indexes
-- ARGV: 1 pages, 2 channel, 3 schema, 4 where the names of streams begin in their keys, 5 the plan, then the events
-- plan: a flat list: the head that is expected, streams, then per stream: first and last version, 1 where it ends with a
--       tombstone; then per event: position, stream, indexes, their numbers (the category's, the type's, the tags')
-- gives {} or {code, …}: 'H', head | 'I', event | 'D', stream | 'V', stream, version | 'G', stream, version: it has more
-- than one event before those that the source has removed: truncate it first | 'W', key
local meta = call('HMGET', KEYS[1], 'schema', 'head')
if meta[1] ~= ARGV[3] then return redis.error_reply('LXSTORE schema ' .. (meta[1] or 'none')) end
local base, plan = tonumber(meta[2]), cmsgpack.unpack(ARGV[5])
local first, stream_key = 5, 6 -- ARGV[first + i] is event i, KEYS[stream_key + k] is stream k
local count, streams = #ARGV - first, plan[2]
local index_key = stream_key + streams
if plan[1] ~= base then return {'H', base} end

local ids, positions, at = {}, {}, 3 + 3 * streams
local of_stream, of_index = {}, {}
for i = 1, count do
  local position = text(plan[at])
  ids[2 * i - 1], ids[2 * i], positions[i] = sub(ARGV[first + i], 17, 32), position, plan[at]
  local k = plan[at + 1]
  of_stream[k] = of_stream[k] or {}
  of_stream[k][#of_stream[k] + 1] = position
  for j = at + 3, at + 2 + plan[at + 2] do
    local list = of_index[plan[j]]
    if list then list[#list + 1] = position else of_index[plan[j]] = {position} end
  end
  at = at + 3 + plan[at + 2]
end
local last = positions[count]

for i = 1, count do
  if call('HEXISTS', KEYS[2], ids[2 * i - 1]) == 1 then return {'I', i} end
end
for k = stream_key + 1, #KEYS do
  if type(pcall('LLEN', KEYS[k])) ~= 'number' then return {'W', KEYS[k]} end
end
call('ZCARD', KEYS[4])
call('HLEN', KEYS[5])
call('ZCARD', KEYS[6])
if call('LLEN', page_of(base + 1)) ~= base % page_events then
  return redis.error_reply('LXCORRUPT page of position ' .. text(base + 1))
end
for n = floor(base / page_events) + 1, floor((last - 1) / page_events) do
  if call('EXISTS', pages .. n) == 1 then return redis.error_reply('LXCORRUPT page ' .. n) end
end

local fresh, cuts, removed, counted = {}, {}, {}, {}
for k = 1, streams do
  local key, from, ends = KEYS[stream_key + k], plan[3 * k], plan[3 * k + 2] == 1
  local name = sub(key, ARGV[4])
  local length = call('LLEN', key)
  local cut = tonumber(call('HGET', KEYS[3], name) or 1)
  local version = length > 0 and math.abs(cut) + length - 1 or 0
  if length > 0 and cut < 0 then return {'D', k} end
  if from <= version then return {'V', k, version} end
  local oldest = math.abs(cut)
  if from > version + 1 then
    if length > 1 then return {'G', k, version} end
    if length == 1 then removed[#removed + 1] = k end
    counted[#counted + 1] = name
    counted[#counted + 1] = from - 1
    oldest = from
  end
  if length == 0 then
    fresh[#fresh + 1] = 0
    fresh[#fresh + 1] = name
  end
  if ends or oldest > 1 then
    cuts[#cuts + 1] = name
    cuts[#cuts + 1] = text(ends and -oldest or oldest)
  end
end

local i, position = 1, base + 1
while position <= last do
  local chunk = {}
  for p = position, math.min(position + page_events - 1 - (position - 1) % page_events, position + 999, last) do
    if positions[i] == p then
      chunk[#chunk + 1] = ARGV[first + i]
      i = i + 1
    else
      chunk[#chunk + 1] = '' -- as truncation leaves it
    end
  end
  call('RPUSH', page_of(position), unpack(chunk))
  position = position + #chunk
end
for _, k in ipairs(removed) do
  local old = tonumber(call('LINDEX', KEYS[stream_key + k], 0))
  call('HDEL', KEYS[2], sub(event_at(old), 17, 32))
  call('LSET', page_of(old), (old - 1) % page_events, '')
  call('DEL', KEYS[stream_key + k])
end
in_parts('HSET', KEYS[2], ids, 1000)
for k, list in pairs(of_stream) do in_parts('RPUSH', KEYS[stream_key + k], list, 1000) end
for k, list in pairs(of_index) do in_parts('RPUSH', KEYS[index_key + k], list, 1000) end
in_parts('ZADD', KEYS[4], fresh, 1000)
in_parts('HSET', KEYS[3], cuts, 1000)
for n = 1, #counted, 2 do
  local revision = call('HINCRBY', KEYS[1], 'revision', 1)
  call('HSET', KEYS[5], counted[n], struct.pack('>I8I8', revision, 0) .. text(counted[n + 1]))
  call('ZADD', KEYS[6], 0, counted[n])
end
call('HSET', KEYS[1], 'head', text(last))
pcall('PUBLISH', ARGV[2], text(last))
return {}
