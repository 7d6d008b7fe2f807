-- What every script begins with. The keys of pages are made here, since which pages a script needs depends on what is
-- stored; they share the hash tag of the keys in KEYS.
local call, pcall, sub, floor = redis.call, redis.pcall, string.sub, math.floor
local page_events = 1024
local pages = ARGV[1] -- what the keys of pages begin with

local function page_of(position) return pages .. floor((position - 1) / page_events) end

-- The bytes of the event at a position: '' where it was removed, false where there never was one.
local function event_at(position) return call('LINDEX', page_of(position), (position - 1) % page_events) end

local function alive(position)
  local e = event_at(position)
  return e and e ~= ''
end

-- The type and the tags of an event, by its bytes; see encode.go.
local function facts(e)
  local type, at = struct.unpack('>Hc0', e, 45)
  local n
  n, at = struct.unpack('>H', e, at)
  local tags = {}
  for i = 1, n do
    tags[i], at = struct.unpack('>Hc0', e, at)
  end
  return type, tags
end

-- Calls a command that takes any number of arguments with all of them, some at a time: unpack has its limits.
local function in_parts(command, key, args, size)
  for i = 1, #args, size do
    call(command, key, unpack(args, i, math.min(i + size - 1, #args)))
  end
end

-- Microseconds, by the server's clock.
local function now()
  local t = call('TIME')
  return t[1] * 1000000 + t[2]
end

-- Numbers in commands: a plain conversion would write large ones with an exponent.
local function text(n) return string.format('%.0f', n) end
