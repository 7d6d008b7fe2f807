-- Takes a member in. ARGV: group, member, length of its lease in ms, members of before that it replaces….
local group = ARGV[1]
local members, _, waker = of_group(group)
for i = 4, #ARGV do
  if redis.call('ZSCORE', members, ARGV[i]) then bury(group, ARGV[i]) end
end
redis.call('ZADD', members, now() + ARGV[3], ARGV[2])
wake(waker)
return 1
