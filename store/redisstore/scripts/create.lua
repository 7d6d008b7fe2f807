-- Makes the store, unless it is there.
-- KEYS: 1 meta, then the other keys that every store has    ARGV: 2 program, 3 schema
-- gives 1 where it made it
local meta = call('HGET', KEYS[1], 'schema')
if meta then return 0 end
for _, key in ipairs(KEYS) do
  if call('EXISTS', key) == 1 then return redis.error_reply('LXFOREIGN ' .. key) end
end
if call('EXISTS', pages .. 0) == 1 then return redis.error_reply('LXFOREIGN ' .. pages .. 0) end
call('HSET', KEYS[1], 'program', ARGV[2], 'schema', ARGV[3], 'head', 0, 'revision', 0)
return 1
