-- Returns a claimed batch; it is due again after a pause.
--
-- KEYS    ready, queue
-- ARGV    id of the claim; pause (ms)
-- Answer  {"ok", due}, {"stale", nil} when another claim was given since, {"empty", nil}
--
-- Safe to run late or twice: the script refuses as soon as another server has the claim.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty', false}
end
if redis.call('HGET', KEYS[2], 'claim') ~= ARGV[1] then
  return {'stale', false}
end
local time = redis.call('TIME')
local due = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2])
redis.call('HDEL', KEYS[2], 'claim', 'claim_until')
redis.call('HSET', KEYS[2], 'due', due)
return {'ok', due}
