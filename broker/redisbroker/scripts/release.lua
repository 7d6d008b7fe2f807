-- Gives messages back, uncounted. ARGV: group, member; then stream number, id, count of deliveries before this one, ….
local group, me = ARGV[1], ARGV[2]
local members, _, waker = of_group(group)
local till = redis.call('ZSCORE', members, me)
if not till or tonumber(till) <= now() then return redis.error_reply('LXLOST the lease is over') end
for i = 3, #ARGV, 3 do
  redis.call('XCLAIM', stream(tonumber(ARGV[i])), group, '-', 0, ARGV[i + 1], 'RETRYCOUNT', ARGV[i + 2], 'JUSTID')
end
wake(waker)
return 1
