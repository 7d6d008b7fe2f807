-- Reads a page of a bucket.
-- KEYS: 1 keys of the bucket, 2 values    ARGV: 2 and 3 the range, 4 at most so many, 5 '1' for backwards, 6 stop after so
-- many bytes
-- gives {the last key that was looked at ('': all were), key, record, key, record…}
local names
if ARGV[5] == '1' then
  names = call('ZREVRANGEBYLEX', KEYS[1], ARGV[3], ARGV[2], 'LIMIT', 0, ARGV[4])
else
  names = call('ZRANGEBYLEX', KEYS[1], ARGV[2], ARGV[3], 'LIMIT', 0, ARGV[4])
end
local time, bytes, most = now(), 0, tonumber(ARGV[6])
local answer = {#names == tonumber(ARGV[4]) and names[#names] or ''}
for i, name in ipairs(names) do
  local v = call('HGET', KEYS[2], name)
  local expires = struct.unpack('>I8', v, 9)
  if expires == 0 or expires > time then
    answer[#answer + 1] = name
    answer[#answer + 1] = v
    bytes = bytes + #v
    if bytes >= most and i < #names then
      answer[1] = name
      break
    end
  end
end
return answer
