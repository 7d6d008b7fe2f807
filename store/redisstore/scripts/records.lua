-- Sets records as they are, all or none, and raises the newest revision to theirs.
-- KEYS: 1 meta, 2 expiry, then values and keys of each bucket
-- ARGV: 2 schema, 3 plan, then the values
-- plan: per record {place of the bucket's keys, bucket, key, revision, expiry in microseconds since 1970 (0: never)}
-- gives {} or {record, revision}: that one is here with a greater revision
local meta = call('HMGET', KEYS[1], 'schema', 'revision')
if meta[1] ~= ARGV[2] then return redis.error_reply('LXSTORE schema ' .. (meta[1] or 'none')) end
local newest, time = tonumber(meta[2]), now()
local plan = cmsgpack.unpack(ARGV[3])
call('ZCARD', KEYS[2])
for k = 4, #KEYS, 2 do call('ZCARD', KEYS[k]) end
for i, r in ipairs(plan) do
  local v = call('HGET', KEYS[r[1]], r[3])
  if v then
    local revision, expires = struct.unpack('>I8I8', v)
    if revision > r[4] and (expires == 0 or expires > time) then return {i, revision} end
  end
end
for i, r in ipairs(plan) do
  local name = r[2] .. '\0' .. r[3]
  call('HSET', KEYS[r[1]], r[3], struct.pack('>I8I8', r[4], r[5]) .. ARGV[3 + i])
  call('ZADD', KEYS[r[1] + 1], 0, r[3])
  if r[5] > 0 then call('ZADD', KEYS[2], text(r[5]), name) else call('ZREM', KEYS[2], name) end
  newest = math.max(newest, r[4])
end
call('HSET', KEYS[1], 'revision', text(newest))
return {}
