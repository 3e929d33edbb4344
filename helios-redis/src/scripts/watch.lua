-- Tells what is known of topics, and marks the place of the answer in what the node's link carries.
--
-- ARGV  7 the node's channel   8 mark, then topics
-- Gives the epoch, the newest number, and for each topic its last number (0 if that is not known) and what has finished it.
local answers = { epoch, seq }
for n = 9, #ARGV do
  local name = epoch .. ':' .. ARGV[n]
  answers[#answers + 1] = tonumber(redis.call('GET', prefix .. 'p:' .. name) or 0)
  answers[#answers + 1] = redis.call('GET', prefix .. 'f:' .. name) or ''
end
redis.call('SPUBLISH', ARGV[7], ARGV[8])
return answers
