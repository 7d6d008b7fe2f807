-- Reads a record.    KEYS: 1 values of the bucket    ARGV: 2 key
local v = call('HGET', KEYS[1], ARGV[2])
if not v then return false end
local expires = struct.unpack('>I8', v, 9)
if expires > 0 and expires <= now() then return false end
return v
