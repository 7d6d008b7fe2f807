-- Ends a member. ARGV: group, member.
local members = of_group(ARGV[1])
if redis.call('ZSCORE', members, ARGV[2]) then bury(ARGV[1], ARGV[2]) end
return 1
