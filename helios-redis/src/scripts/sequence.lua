-- Every script that is bound to a sequence begins with this.
--
-- A sequence is over if the server is of another run, if a node reports that the server has been a replica since, or if the
-- sequence has gone back behind a number that the node has seen of it. A node that has seen an earlier sequence shows that
-- something was lost with that one: `torn` notes when the first such node came.
--
-- KEYS  1 the sequence
-- ARGV  1 prefix of all keys   2 run of the server   3 epoch if another one begins   4 an epoch that is over, or 0
--       5 an epoch, and   6 the newest number that the node has seen of it
local prefix = ARGV[1]
-- Here, so that a user without the right to call it is refused before anything is written.
local time = redis.call('TIME')
local known = redis.call('HMGET', KEYS[1], 'epoch', 'run', 'seq', 'torn')
local epoch, seq, torn = known[1], tonumber(known[3] or 0), tonumber(known[4] or 0)
local goes_on = epoch and known[2] == ARGV[2] and epoch ~= ARGV[4]
if not goes_on or (epoch == ARGV[5] and seq < tonumber(ARGV[6])) then
  epoch, seq, torn = ARGV[3], 0, 0
  redis.call('HSET', KEYS[1], 'v', 1, 'epoch', epoch, 'run', ARGV[2], 'seq', 0, 'torn', 0)
  redis.call('DEL', prefix .. 'k')
end
if torn == 0 and ARGV[5] ~= '0' and ARGV[5] ~= epoch then
  torn = tonumber(time[1])
  redis.call('HSET', KEYS[1], 'torn', time[1])
end
