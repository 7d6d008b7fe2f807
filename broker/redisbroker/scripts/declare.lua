-- Makes a group on all streams of a topic in one step, so that it begins at one moment.
-- ARGV: group; the id after which it begins, "$" or "0".
for n = 0, free do
  local done = redis.pcall('XGROUP', 'CREATE', stream(n), ARGV[1], ARGV[2], 'MKSTREAM')
  if done.err and not string.find(done.err, 'BUSYGROUP', 1, true) then return done end
end
return 1
