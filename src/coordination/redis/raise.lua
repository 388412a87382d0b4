-- Raises the last place, so that no place up to a number is handed out again.
--
-- KEYS    ready, queue
-- ARGV    the number
-- Answer  {"ok"}, {"empty"}
--
-- Safe to run late or twice: it only raises the number.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty'}
end
local seq = tonumber(redis.call('HGET', KEYS[2], 'seq')) or 0
if seq < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[2], 'seq', ARGV[1])
end
return {'ok'}
