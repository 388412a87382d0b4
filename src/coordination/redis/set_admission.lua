-- Applies admission settings. An opening or a shorter interval takes effect at once.
--
-- KEYS    ready, queue
-- ARGV    batch; every (ms); paused, 1 or 0; opens at (ms) or "" while closed; the latest time to run;
--         what it follows, 'settings' or 'objective'
-- Answer  {"ok", number of this change}, {"empty", nil}, {"late", nil}
--
-- A late run would undo a later change, so the script refuses to run late.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[5]) then
  return {'late', false}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty', false}
end
local before = redis.call('HMGET', KEYS[2], 'opens', 'due')
redis.call('HSET', KEYS[2], 'batch', ARGV[1], 'every', ARGV[2], 'paused', ARGV[3],
  'follow', ARGV[6])
if ARGV[4] == '' then
  redis.call('HDEL', KEYS[2], 'opens')
else
  redis.call('HSET', KEYS[2], 'opens', ARGV[4])
end
if (before[1] or '') ~= ARGV[4] then
  redis.call('HDEL', KEYS[2], 'due')
elseif before[2] then
  redis.call('HSET', KEYS[2], 'due', math.min(tonumber(before[2]), now + tonumber(ARGV[2])))
end
return {'ok', redis.call('HINCRBY', KEYS[2], 'changes', 1)}
