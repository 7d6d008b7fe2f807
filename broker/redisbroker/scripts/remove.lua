-- Removes a group from a topic. ARGV: group.
for n = 0, free do
  if redis.call('EXISTS', stream(n)) == 1 then redis.call('XGROUP', 'DESTROY', stream(n), ARGV[1]) end
end
redis.call('DEL', of_group(ARGV[1]))
return 1
