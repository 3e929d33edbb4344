-- What every script that is bound to a sequence begins with.
--
-- A sequence is over when the server is of another run, when a node says that the server has been a replica since, and when it has
-- gone back behind what a node has seen of it.
--
-- KEYS  1 the sequence
-- ARGV  1 prefix of all keys   2 run of the server   3 epoch if another one begins   4 an epoch that is over, or 0
--       5 an epoch, and   6 the newest number that the node has seen of it
local prefix = ARGV[1]
-- Here, so that a user who may not is refused before anything is written.
local time = redis.call('TIME')
local known = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'seq')
local epoch, seq = known[1], tonumber(known[3] or 0)
local goes_on = epoch and known[2] == ARGV[2] and epoch ~= ARGV[4]
if not goes_on or (epoch == ARGV[5] and seq < tonumber(ARGV[6])) then
  epoch, seq = ARGV[3], 0
  redis.call('HSET', KEYS[1], 'v', 1, 'epoch', epoch, 'run', ARGV[2], 'seq', 0)
  redis.call('DEL', prefix .. 'k')
end
