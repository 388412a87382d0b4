-- Returns the changes since a server's last call.
--
-- KEYS    ready, queue, batches, ended
-- ARGV    the last place that the server knows, to which the queue is raised; its mark; number of the last
--         ended place that it knows; longest list
-- Answer  {now, generation or nil, {seq, mark, ended, changes, batch, every, paused, opens, due},
--         {what admission follows, rate, whether users are admitted},
--         {"mark:since", ...}, {ended place, its number, ...}}; what is not set is nil
--
-- Safe to run late or twice: it only raises the last place.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local generation = redis.call('GET', KEYS[1])
if not generation then
  return {now, false, {}, {}, {}, {}}
end
local seq = tonumber(redis.call('HGET', KEYS[2], 'seq')) or 0
if seq < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[2], 'seq', ARGV[1])
end
local asked = {'seq', 'mark', 'ended', 'changes', 'batch', 'every', 'paused', 'opens', 'due'}
return {
  now,
  generation,
  redis.call('HMGET', KEYS[2], unpack(asked)),
  redis.call('HMGET', KEYS[2], 'follow', 'rate', 'admits'),
  redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[2], '+inf', 'LIMIT', 0, ARGV[4]),
  redis.call('ZRANGEBYSCORE', KEYS[4], '(' .. ARGV[3], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[4]),
}
