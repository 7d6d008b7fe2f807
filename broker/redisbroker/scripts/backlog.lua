-- Tells of each stream of a topic what a group has not handled: how many are given out and unanswered, how many are
-- unread (-1: to be counted), after which id those begin, and when the first of all was published. ARGV: group.
local answer = {}
local cut = redis.call('HGET', KEYS[1], 'cut') -- the server counts what was trimmed unread as if it were there
for n = 0, free do
  local key = stream(n)
  if redis.call('EXISTS', key) == 1 then
    local g = group_of(key, ARGV[1])
    if not g then return {} end
    local last, pending, first = field(g, 'last-delivered-id'), field(g, 'pending'), nil
    if pending > 0 then
      first = redis.call('XRANGE', key, redis.call('XPENDING', key, ARGV[1])[2], '+', 'COUNT', 1)
    else
      first = redis.call('XRANGE', key, '(' .. last, '+', 'COUNT', 1)
    end
    local at = ''
    if #first > 0 then at = field(first[1][2], ':time') or string.match(first[1][1], '^%d+') end
    local lag = not cut and field(g, 'lag') or -1
    answer[#answer + 1] = {n, pending, lag, last, at}
  end
end
return answer
