-- Admits a claimed batch, and deletes what expired long ago. A batch that took long to become durable begins later than
-- claimed, so that all servers know it by then.
--
-- KEYS    ready, queue, batches, ended
-- ARGV    id of the claim; mark; time of the admission (ms); places up to this one expired long ago; the least time
--         from now to the admission (ms)
-- Answer  {"ok"}, {"stale"} when another claim was given since, {"empty"}
--
-- Safe to run late or twice: the batch is durable, and the script refuses as soon as another server has the claim.
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty'}
end
local queue = redis.call('HMGET', KEYS[2], 'claim', 'mark', 'seq')
if queue[1] ~= ARGV[1] then
  return {'stale'}
end
redis.call('HDEL', KEYS[2], 'claim', 'claim_until')
local mark = tonumber(ARGV[2])
if mark > (tonumber(queue[2]) or 0) then
  local time = redis.call('TIME')
  local soonest = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[5])
  local at = math.max(tonumber(ARGV[3]), soonest)
  redis.call('HSET', KEYS[2], 'mark', ARGV[2])
  redis.call('ZADD', KEYS[3], ARGV[2], ARGV[2] .. ':' .. string.format('%.0f', at))
end
if mark > (tonumber(queue[3]) or 0) then
  redis.call('HSET', KEYS[2], 'seq', ARGV[2])
end
-- The newest expired batch represents all earlier ones.
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[4])
local gone = {}
for _, place in ipairs(redis.call('ZRANGE', KEYS[4], 0, 999)) do
  if tonumber(place) <= tonumber(ARGV[4]) then
    gone[#gone + 1] = place
  end
end
if #gone > 0 then
  redis.call('ZREM', KEYS[4], unpack(gone))
end
return {'ok'}
