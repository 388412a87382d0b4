-- Adds durable places to the queue. A recovery sends them in parts, so that other calls of Redis wait only briefly.
--
-- KEYS    queue, users, ended
-- ARGV    number of live places; user and place of each; then places that have ended
-- Answer  {"ok"}
--
-- Safe to run late or twice: it only raises numbers, and only to durable values.
local live = tonumber(ARGV[1])
if live > 0 then
  local users, higher = {}, {}
  for at = 1, live do
    users[at] = ARGV[2 * at]
  end
  local known = redis.call('HMGET', KEYS[2], unpack(users))
  for at = 1, live do
    local place = ARGV[2 * at + 1]
    if not known[at] or tonumber(known[at]) < tonumber(place) then
      higher[#higher + 1] = users[at]
      higher[#higher + 1] = place
    end
  end
  if #higher > 0 then
    redis.call('HSET', KEYS[2], unpack(higher))
  end
end
for at = 2 * live + 2, #ARGV do
  if not redis.call('ZSCORE', KEYS[3], ARGV[at]) then
    local number = redis.call('HINCRBY', KEYS[1], 'ended', 1)
    redis.call('ZADD', KEYS[3], number, ARGV[at])
  end
end
return {'ok'}
