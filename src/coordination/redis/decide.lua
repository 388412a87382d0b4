-- Applies a decision on the rate of admission.
--
-- KEYS    ready, queue
-- ARGV    id of the turn; state of the law; rate (users a second); whether users are admitted, 1 or 0
-- Answer  {"ok"}, {"stale"} when another turn was given since, {"empty"}
--
-- Safe to run late or twice: the script refuses as soon as another server has the turn.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty'}
end
if redis.call('HGET', KEYS[2], 'turn') ~= ARGV[1] then
  return {'stale'}
end
redis.call('HSET', KEYS[2], 'law', ARGV[2], 'rate', ARGV[3], 'admits', ARGV[4])
return {'ok'}
