-- Hands out the next place, or returns the place that the user already holds.
--
-- KEYS    ready, queue, users, ended
-- ARGV    user; places up to this one have expired; the latest time to run (ms)
-- Answer  {"new", place, the earlier place or nil}, {"already", place, nil}, {"empty"}, {"late"}
--
-- A late run would give a place to a user who was already answered otherwise, so the script refuses to run late.
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[3]) then
  return {'late', false, false}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty', false, false}
end
local earlier = redis.call('HGET', KEYS[3], ARGV[1])
if earlier and tonumber(earlier) > tonumber(ARGV[2]) then
  local mark = tonumber(redis.call('HGET', KEYS[2], 'mark')) or 0
  local ended = tonumber(earlier) <= mark and redis.call('ZSCORE', KEYS[4], earlier)
  if not ended then
    return {'already', earlier, false}
  end
end
local place = redis.call('HINCRBY', KEYS[2], 'seq', 1)
redis.call('HSET', KEYS[3], ARGV[1], place)
return {'new', place, earlier}
