-- Ends a member, also one that was taken for dead: it may have read since. ARGV: group, member.
bury(ARGV[1], ARGV[2])
return 1
