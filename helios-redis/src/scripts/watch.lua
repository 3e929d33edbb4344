-- Tells what is known of topics, and marks the place of the answer in what the node's link carries.
--
-- KEYS  1 the sequence
-- ARGV  1 prefix of all keys   2 run of the server   3 epoch if another one begins   4 the node's channel   5 mark
--       then topics
-- Gives the epoch, the newest number, and for each topic its last number (0 if that is not known) and what has finished it.
local prefix, run, fresh = ARGV[1], ARGV[2], ARGV[3]
local known = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'seq')
local epoch, seq = known[1], tonumber(known[3] or 0)
if not epoch or known[2] ~= run then
  epoch, seq = fresh, 0
  redis.call('HSET', KEYS[1], 'v', 1, 'epoch', epoch, 'run', run, 'seq', 0)
  redis.call('DEL', prefix .. 'k')
end
local answers = { epoch, seq }
for n = 6, #ARGV do
  local name = epoch .. ':' .. ARGV[n]
  answers[#answers + 1] = tonumber(redis.call('GET', prefix .. 'p:' .. name) or 0)
  answers[#answers + 1] = redis.call('GET', prefix .. 'f:' .. name) or ''
end
redis.call('SPUBLISH', ARGV[4], ARGV[5])
return answers
