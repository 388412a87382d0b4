-- Withdraws a place: the user has the earlier place again. The number stays unused.
--
-- KEYS    ready, users
-- ARGV    user, place, the earlier place or ""
-- Answer  {"ok"}, {"empty"}
--
-- Safe to run late or twice: a place is handed out once, so no later registration holds this number.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty'}
end
if redis.call('HGET', KEYS[2], ARGV[1]) == ARGV[2] then
  if ARGV[3] == '' then
    redis.call('HDEL', KEYS[2], ARGV[1])
  else
    redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
  end
end
return {'ok'}
