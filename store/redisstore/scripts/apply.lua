-- Applies operations on records: all or none. Then it removes some records that have expired, of any bucket.
-- KEYS: 1 meta, 2 expiry, then values and keys of each bucket
-- ARGV: 2 schema, 3 what the keys of values begin with, 4 those of keys, 5 plan, then the values of puts
-- plan: per operation {kind (1 put, 2 delete, 3 check), place of the bucket's keys, bucket, key, expected revision (-1 any),
--       time to live in microseconds (0: for ever)}
-- gives {revisions…} or {'R', operation, actual revision}
local meta = call('HMGET', KEYS[1], 'schema', 'revision')
if meta[1] ~= ARGV[2] then return redis.error_reply('LXSTORE schema ' .. (meta[1] or 'none')) end
local revision = tonumber(meta[2])
local time = now()
local value_at = 5 -- ARGV[value_at + i] is value i
local states, changed, answer = {}, {}, {}

local function state(op)
  local name = op[3] .. '\0' .. op[4]
  local s = states[name]
  if s then return s end
  s = {revision = 0, expires = 0, values = KEYS[op[2]], keys = KEYS[op[2] + 1], key = op[4], name = name}
  local v = call('HGET', s.values, op[4])
  if v then
    local r, expires = struct.unpack('>I8I8', v)
    s.there, s.expires = true, expires
    if expires == 0 or expires > time then s.revision = r end
  end
  states[name] = s
  return s
end

call('ZCARD', KEYS[2])
for k = 4, #KEYS, 2 do call('ZCARD', KEYS[k]) end
local values = 0
for i, op in ipairs(cmsgpack.unpack(ARGV[5])) do
  local s = state(op)
  if op[5] >= 0 and op[5] ~= s.revision then return {'R', i, s.revision} end
  if op[1] == 1 then
    values = values + 1
    revision = revision + 1
    s.revision = revision
    s.until_, s.value = op[6] > 0 and time + op[6] or 0, value_at + values
  elseif op[1] == 2 then
    s.revision, s.value = 0, nil
  end
  if op[1] ~= 3 and not s.changed then
    s.changed = true
    changed[#changed + 1] = s
  end
  answer[i] = s.revision
end

for _, s in ipairs(changed) do
  if s.value then
    call('HSET', s.values, s.key, struct.pack('>I8I8', s.revision, s.until_) .. ARGV[s.value])
    if not s.there then call('ZADD', s.keys, 0, s.key) end
    if s.until_ > 0 then call('ZADD', KEYS[2], text(s.until_), s.name) end
  elseif s.there then
    call('HDEL', s.values, s.key)
    call('ZREM', s.keys, s.key)
  end
  if s.expires > 0 and not (s.value and s.until_ > 0) then call('ZREM', KEYS[2], s.name) end
end
if #changed > 0 then call('HSET', KEYS[1], 'revision', text(revision)) end

for _, name in ipairs(call('ZRANGEBYSCORE', KEYS[2], '-inf', text(time), 'LIMIT', 0, 100)) do
  local nul = string.find(name, '\0', 1, true)
  local bucket, key = sub(name, 1, nul - 1), sub(name, nul + 1)
  call('HDEL', ARGV[3] .. bucket, key)
  call('ZREM', ARGV[4] .. bucket, key)
  call('ZREM', KEYS[2], name)
end
return answer
