-- Returns the state of topics, and marks the place of the answer among the events that the node receives.
--
-- ARGV  7 the channel of the node   8 mark, then topics
-- Returns the epoch, the newest number, and for each topic its last number (0 if it is not known) and the event that finished it.
local answers = { epoch, seq }
for n = 9, #ARGV do
  local name = epoch .. ':' .. ARGV[n]
  answers[#answers + 1] = tonumber(redis.call('GET', prefix .. 'p:' .. name) or 0)
  answers[#answers + 1] = redis.call('GET', prefix .. 'f:' .. name) or ''
end
redis.call('SPUBLISH', ARGV[7], ARGV[8])
return answers
