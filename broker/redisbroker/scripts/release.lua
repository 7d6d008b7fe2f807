-- Gives messages back: to nobody ("-") at once, uncounted, or to be paused ("~").
-- ARGV: group, member, ms of the pause; then stream number, id, count of deliveries before this one, ….
local group, me, pause = ARGV[1], ARGV[2], tonumber(ARGV[3])
local members, _, waker, paused = of_group(group)
local till = redis.call('ZSCORE', members, me)
if not till or tonumber(till) <= now() then return redis.error_reply('LXLOST the lease is over') end
for i = 4, #ARGV, 3 do
  local key, id = stream(tonumber(ARGV[i])), ARGV[i + 1]
  if pause == 0 then
    redis.call('XCLAIM', key, group, '-', 0, id, 'RETRYCOUNT', ARGV[i + 2], 'JUSTID')
  elseif #redis.call('XCLAIM', key, group, '~', 0, id, 'JUSTID') > 0 then
    redis.call('ZADD', paused, now() + pause, ARGV[i] .. ':' .. id)
  end
end
wake(waker)
return 1
