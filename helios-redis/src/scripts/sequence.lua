-- Every script that is bound to a sequence begins with this.
--
-- A sequence is over if the server has another run, if a node reports that the server was a replica since, or if the newest number is
-- below one that the node has seen. A node for which the server keeps everything gives `kept` as the run, and takes any other for the
-- same. `torn` is the time at which the first node came that knew an earlier sequence, so that data may
-- have been lost with it. It is 0 if no such node has come.
--
-- KEYS  1 the sequence
-- ARGV  1 prefix of all keys   2 run of the server   3 epoch of another sequence, if one begins   4 an epoch that is over, or 0
--       5 an epoch, and   6 the newest number that the node has seen of it
local prefix = ARGV[1]
-- Called here, so that a user without the right to call it is refused before anything is written.
local time = redis.call('TIME')
local known = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'seq', 'torn')
local epoch, seq, torn = known[1], tonumber(known[3] or 0), tonumber(known[4] or 0)
local goes_on = epoch and (known[2] == ARGV[2] or ARGV[2] == 'kept') and epoch ~= ARGV[4]
if not goes_on or (epoch == ARGV[5] and seq < tonumber(ARGV[6])) then
  epoch, seq, torn = ARGV[3], 0, 0
  redis.call('HSET', KEYS[1], 'v', 1, 'epoch', epoch, 'run', ARGV[2], 'seq', 0, 'torn', 0)
  redis.call('DEL', prefix .. 'k')
end
if torn == 0 and ARGV[5] ~= '0' and ARGV[5] ~= epoch then
  torn = tonumber(time[1])
  redis.call('HSET', KEYS[1], 'torn', time[1])
end
