-- Publishes several events at once. It gives each a number, appends it to the list of its topic, and sends it to all nodes.
--
-- ARGV  7 ms for which idempotency keys count, then for each event: topic, key, whether it finishes the topic, events kept, ms kept,
--       bytes
-- Returns the epoch, and for each event its number, or 0 if its topic is finished.
local keep = ARGV[7]
local day = 24 * 60 * 60 * 1000
local count = (#ARGV - 7) / 6
-- Takes the numbers before it writes anything, so that no number is given out twice if it fails half-way.
seq = redis.call('HINCRBY', KEYS[1], 'seq', count) - count
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ticks = prefix .. 'k'

local function last_tick()
  local last = redis.call('LINDEX', ticks, -1)
  if last then return struct.unpack('>I8I8', last) end
end

local ticked, ticked_seq = last_tick()
-- If the clock was set back, later ticks are over, since `history.lua` relies on times that ascend.
while ticked and ticked > ms do
  redis.call('RPOP', ticks)
  ticked, ticked_seq = last_tick()
end
-- At half a minute from each other, the ticks of more than a day fit.
if not ticked or ticked < ms - 30000 then
  redis.call('RPUSH', ticks, struct.pack('>I8I8', ms, seq))
  redis.call('LTRIM', ticks, -4096, -1)
  ticked_seq = seq
end

-- Drops the events of a list that were published before this time.
local function drop_before(list, time)
  local low, high = 0, redis.call('LLEN', list)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = select(3, struct.unpack('>I8I8I8', redis.call('LINDEX', list, middle)))
    if at < time then low = middle + 1 else high = middle end
  end
  redis.call('LTRIM', list, low, -1)
end

local answers = { epoch }
for n = 0, count - 1 do
  local at = 7 + n * 6
  local topic, key, ends = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1'
  local most, age, bytes = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local name = epoch .. ':' .. topic
  -- Both may contain a colon, so the length tells where the topic ends.
  local once = prefix .. 'i:' .. epoch .. ':' .. #topic .. ':' .. topic .. ':' .. key
  local before = key ~= '' and redis.call('GET', once)
  if before then
    answers[n + 2] = tonumber(before)
  elseif redis.call('EXISTS', prefix .. 'f:' .. name) == 1 then
    answers[n + 2] = 0
  else
    seq = seq + 1
    -- Outlives the events, so that `history.lua` sees that they are gone.
    local prev = redis.call('SET', prefix .. 'p:' .. name, seq, 'PX', age + day, 'GET') or 0
    local entry = struct.pack('>I8I8I8', seq, prev, ms) .. bytes
    local list = prefix .. 'l:' .. name
    redis.call('RPUSH', list, entry)
    redis.call('LTRIM', list, -most, -1)
    -- The list expires as a whole, so the first event after each tick drops those that are too old. Their time cannot be read without a
    -- copy of their bytes, so not every event does.
    if tonumber(prev) <= ticked_seq then drop_before(list, ms - age) end
    redis.call('PEXPIRE', list, age)
    if ends then
      redis.call('SET', prefix .. 'f:' .. name, entry, 'PX', age + 60000)
    end
    if key ~= '' then
      redis.call('SET', once, seq, 'PX', keep)
    end
    redis.call('SPUBLISH', prefix .. 't:' .. topic, struct.pack('>I8', tonumber(epoch)) .. entry)
    answers[n + 2] = seq
  end
end
return answers
