-- Ends places early. Each gets a running number, by which servers fetch the new ones.
--
-- KEYS    ready, queue, ended
-- ARGV    places
-- Answer  {"ok"}, {"empty"}
--
-- Safe to run late or twice: a place that has ended stays ended.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty'}
end
for _, place in ipairs(ARGV) do
  if not redis.call('ZSCORE', KEYS[3], place) then
    local number = redis.call('HINCRBY', KEYS[2], 'ended', 1)
    redis.call('ZADD', KEYS[3], number, place)
  end
end
return {'ok'}
