-- Publishes several events at once: each has a number, its place in its topic's list, and is handed to all nodes.
--
-- ARGV  7 ms for which keys count, then for each event: topic, key, whether it is the end, events kept, ms kept, bytes
-- Gives the epoch, and for each event its number, or 0 if its topic is finished.
local keep = ARGV[7]
local count = (#ARGV - 7) / 6
-- Taken before anything is written: a number that is void is never given out again.
seq = redis.call('HINCRBY', KEYS[1], 'seq', count) - count
local ms = time[1] * 1000 + math.floor(time[2] / 1000)
local last = redis.call('LINDEX', prefix .. 'k', -1)
local ticked = last and struct.unpack('>I8', last)
-- A clock that was set back ticks, too.
if not ticked or ticked < ms - 1000 or ticked > ms then
  redis.call('RPUSH', prefix .. 'k', struct.pack('>I8I8', ms, seq))
  redis.call('LTRIM', prefix .. 'k', -4096, -1)
end
local answers = { epoch }
for n = 0, count - 1 do
  local at = 7 + n * 6
  local topic, key, ends = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3] == '1'
  local most, age, bytes = ARGV[at + 4], ARGV[at + 5], ARGV[at + 6]
  local name = epoch .. ':' .. topic
  local once = prefix .. 'i:' .. name .. ':' .. key
  local before = key ~= '' and redis.call('GET', once)
  if before then
    answers[n + 2] = tonumber(before)
  elseif redis.call('EXISTS', prefix .. 'f:' .. name) == 1 then
    answers[n + 2] = 0
  else
    seq = seq + 1
    local prev = redis.call('SET', prefix .. 'p:' .. name, seq, 'PX', age, 'GET') or 0
    local entry = struct.pack('>I8I8I8', seq, prev, ms) .. bytes
    redis.call('RPUSH', prefix .. 'l:' .. name, entry)
    redis.call('LTRIM', prefix .. 'l:' .. name, -most, -1)
    redis.call('PEXPIRE', prefix .. 'l:' .. name, age)
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
