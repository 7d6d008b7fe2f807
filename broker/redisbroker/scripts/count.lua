-- Counts the entries of a stream after an id, a page at a time. ARGV: number of the stream, id. Answer: how many, the last.
local page = redis.call('XRANGE', stream(tonumber(ARGV[1])), '(' .. ARGV[2], '+', 'COUNT', 1000)
if #page == 0 then return {0, ARGV[2]} end
return {#page, page[#page][1]}
