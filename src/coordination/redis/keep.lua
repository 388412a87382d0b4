-- Records a place that the database gave while this queue did not answer.
--
-- KEYS    ready, queue, users
-- ARGV    user, place
-- Answer  {"ok"}, {"empty"}
--
-- Safe to run late or twice: it only raises the user's place.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty'}
end
local place = tonumber(ARGV[2])
local seq = tonumber(redis.call('HGET', KEYS[2], 'seq')) or 0
if seq < place then
  redis.call('HSET', KEYS[2], 'seq', ARGV[2])
end
local known = tonumber(redis.call('HGET', KEYS[3], ARGV[1])) or 0
if known < place then
  redis.call('HSET', KEYS[3], ARGV[1], ARGV[2])
end
return {'ok'}
