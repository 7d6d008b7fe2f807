-- Makes a topic where it is missing, and gives the number of its partitions.
-- ARGV: the number of partitions of a new topic.
if partitions == 0 then
  redis.call('HSET', KEYS[1], 'schema', 1, 'partitions', ARGV[1])
  return tonumber(ARGV[1])
end
return partitions
