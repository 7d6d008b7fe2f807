-- Reads a page of the log along indexes. It gives what the indexes name: a superset of what is asked for.
-- KEYS: 1 meta, then indexes
-- ARGV: 1 pages, 2 and 3 the lowest and the highest position (0: the head), 4 at most so many, 5 '1' for backwards, 6 stop
--       after so many bytes, 7 plan
-- plan: alternatives, any of which will do, each a list of sources to unite, each a list of indexes of which one will do
-- gives {head, the last position that was looked at (0: all were), position, event, position, event…}
local head = tonumber(call('HGET', KEYS[1], 'head') or 0)
local low, high = math.max(tonumber(ARGV[2]), 1), tonumber(ARGV[3])
if high == 0 or high > head then high = head end
local most, backwards, most_bytes = tonumber(ARGV[4]), ARGV[5] == '1', tonumber(ARGV[6])
local answer = {head, 0}
if low > high then return answer end

local indexes, least
for _, alternative in ipairs(cmsgpack.unpack(ARGV[7])) do
  local chosen, total = {}, 0
  for i, source in ipairs(alternative) do
    local best
    for _, k in ipairs(source) do
      local n = call('LLEN', KEYS[k])
      if not best or n < best then chosen[i], best = KEYS[k], n end
    end
    total = total + best
  end
  if not least or total < least then indexes, least = chosen, total end
end

-- The place in an index of the first position that is at least the given one; its length where there is none. The search
-- goes from the tail, since most readers are near it.
local function place(key, position)
  local n = call('LLEN', key)
  local function at(i) return tonumber(call('LINDEX', key, i)) end
  if n == 0 or at(n - 1) < position then return n end
  local step, above = 1, n - 1
  local below = above - step
  while below >= 0 and at(below) >= position do
    above, step = below, step * 2
    below = above - step
  end
  below = math.max(below, -1)
  while above - below > 1 do
    local middle = floor((above + below) / 2)
    if at(middle) >= position then above = middle else below = middle end
  end
  return above
end

-- Each index gives a share. Beyond the last position of a share that is full nothing is known.
local share = math.max(32, math.ceil(2 * most / #indexes))
if #indexes == 1 then share = most end
local positions, seen = {}, {}
local edge = backwards and low or high
for _, key in ipairs(indexes) do
  local some
  if backwards then
    local last = place(key, high + 1) - 1
    some = last >= 0 and call('LRANGE', key, math.max(0, last - share + 1), last) or {}
    if #some == share then edge = math.max(edge, tonumber(some[1])) end
  else
    local from = place(key, low)
    some = call('LRANGE', key, from, from + share - 1)
    if #some == share then edge = math.min(edge, tonumber(some[share])) end
  end
  for _, p in ipairs(some) do
    p = tonumber(p)
    if not seen[p] and p >= low and p <= high then
      seen[p] = true
      positions[#positions + 1] = p
    end
  end
end
table.sort(positions, function(a, b) if backwards then return a > b end return a < b end)
local bytes, given = 0, 0
for _, p in ipairs(positions) do
  if backwards and p < edge or not backwards and p > edge then break end
  if given >= most or bytes >= most_bytes then
    edge = backwards and p + 1 or p - 1
    break
  end
  given = given + 1
  local e = event_at(p)
  if e and e ~= '' then
    answer[#answer + 1] = p
    answer[#answer + 1] = e
    bytes = bytes + #e
  end
end
if edge ~= (backwards and low or high) then answer[2] = edge end
return answer
