-- Returns the events of a topic after a number, the oldest first, or the newest events, the newest first.
--
-- KEYS  1 the sequence
-- ARGV  1 prefix of all keys   2 epoch of the number   3 topic   4 number, or -1 for the newest   5 events at most
--       6 bytes at most
-- Returns the epoch, whether there is more (or -1 if some of these events may be forgotten), and the entries.
local prefix, topic = ARGV[1], ARGV[3]
local after, most, room = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local known = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local epoch, newest = known[1] or '', tonumber(known[2] or 0)
local is_newest = after < 0
if not is_newest and epoch ~= ARGV[2] then return { epoch, -1 } end

-- Returns whether no event behind the number can have expired, if the topic's newest number has. That number is kept for a day longer
-- than the events, so such events are more than a day old. All events behind the number are younger than the last tick up to it. How
-- long the events were kept does not matter: each node decides that when it publishes.
local function nothing_expired()
  if after >= newest then return true end
  local low, high, since = 0, redis.call('LLEN', prefix .. 'k'), 0
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at, seq = struct.unpack('>I8I8', redis.call('LINDEX', prefix .. 'k', middle))
    if seq > after then high = middle else low, since = middle + 1, at end
  end
  local time = redis.call('TIME')
  return since > time[1] * 1000 + math.floor(time[2] / 1000) - 24 * 60 * 60 * 1000
end

local name = epoch .. ':' .. topic
local list = prefix .. 'l:' .. name
local length = redis.call('LLEN', list)
local first = 0
if not is_newest then
  local high = length
  while first < high do
    local middle = math.floor((first + high) / 2)
    local seq = struct.unpack('>I8', redis.call('LINDEX', list, middle))
    if seq > after then high = middle else first = middle + 1 end
  end
  -- The event before the first entry: 0 if it is not known.
  local before
  if first < length then
    before = select(2, struct.unpack('>I8I8', redis.call('LINDEX', list, first)))
  else
    before = tonumber(redis.call('GET', prefix .. 'p:' .. name) or 0)
  end
  if before > after or (before == 0 and not nothing_expired()) then return { epoch, -1 } end
end

local answers, bytes, last = { epoch, 0 }, 0, length - 1
-- Reads in pieces, so that it copies no more than fits.
local from, to = first, math.min(first + 63, last)
if is_newest then from, to = math.max(last - 63, 0), last end
while from <= to do
  local piece = redis.call('LRANGE', list, from, to)
  for n = 1, #piece do
    local entry = piece[is_newest and #piece + 1 - n or n]
    bytes = bytes + #entry - 24
    if #answers - 2 >= most or (bytes > room and #answers > 2) then
      answers[2] = 1
      return answers
    end
    answers[#answers + 1] = entry
  end
  if is_newest then
    if from == 0 then break end
    from, to = math.max(from - 64, 0), from - 1
  else
    from, to = to + 1, math.min(to + 64, last)
  end
end
return answers
