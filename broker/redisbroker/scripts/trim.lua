-- Removes what no group needs any more, but for the newest. ARGV: how many to retain in each stream; the length to which
-- a stream is cut whatever is unread, and the age in ms (0: no such limit); numbers of streams….
local retain, longest, oldest = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
for i = 4, #ARGV do
  local key = stream(tonumber(ARGV[i]))
  local excess = redis.call('XLEN', key) - retain
  if excess > 0 then
    local keep -- the first entry that a group has not read and acknowledged, or one before it
    for _, g in ipairs(redis.call('XINFO', 'GROUPS', key)) do
      local need = field(g, 'last-delivered-id')
      if field(g, 'pending') > 0 then
        local first = redis.call('XPENDING', key, field(g, 'name'))[2]
        if before(first, need) then need = first end
      end
      if not keep or before(need, keep) then keep = need end
    end
    if keep then
      redis.call('XTRIM', key, 'MINID', '~', keep, 'LIMIT', excess)
    else
      redis.call('XTRIM', key, 'MAXLEN', '~', retain)
    end
  end
  local cut = 0
  if longest > 0 then cut = cut + redis.call('XTRIM', key, 'MAXLEN', '~', longest) end
  if oldest > 0 then cut = cut + redis.call('XTRIM', key, 'MINID', '~', string.format('%d-0', now() - oldest)) end
  if cut > 0 then redis.call('HSET', KEYS[1], 'cut', 1) end
end
return 1
