-- The last step of a recovery: numbers, settings, and the sign that the queue is complete.
--
-- KEYS    ready, queue
-- ARGV    a new generation; last place; mark; changes of settings when the recovery began; batch;
--         every (ms); paused; opens at (ms) or ""; when a batch is due, for a queue without a due time, or "";
--         the latest time to run; what admission follows
-- Answer  {"ok"}, {"late"}
--
-- The settings of the database win, unless another server changed the settings since the recovery began. A late
-- run could undo such a change, so the script refuses to run late.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[10]) then
  return {'late'}
end
local fields = {'seq', 'mark', 'changes', 'batch', 'every', 'paused', 'opens', 'due', 'follow'}
local queue = redis.call('HMGET', KEYS[2], unpack(fields))
local mark, last = tonumber(ARGV[3]), tonumber(ARGV[2])
if (tonumber(queue[1]) or 0) < last then
  redis.call('HSET', KEYS[2], 'seq', ARGV[2])
end
if (tonumber(queue[2]) or 0) < mark then
  redis.call('HSET', KEYS[2], 'mark', ARGV[3])
end
local before = (queue[4] or '') .. ' ' .. (queue[5] or '') .. ' ' .. (queue[6] or '')
local opens_before, due = queue[7] or '', queue[8]
local after = ARGV[5] .. ' ' .. ARGV[6] .. ' ' .. ARGV[7]
local differ = before ~= after or opens_before ~= ARGV[8] or (queue[9] or 'settings') ~= ARGV[11]
if differ and (tonumber(queue[3]) or 0) == tonumber(ARGV[4]) then
  redis.call('HSET', KEYS[2], 'batch', ARGV[5], 'every', ARGV[6], 'paused', ARGV[7],
    'follow', ARGV[11])
  redis.call('HINCRBY', KEYS[2], 'changes', 1)
  if ARGV[8] == '' then
    redis.call('HDEL', KEYS[2], 'opens')
  else
    redis.call('HSET', KEYS[2], 'opens', ARGV[8])
  end
  if opens_before ~= ARGV[8] then
    redis.call('HDEL', KEYS[2], 'due')
  elseif due then
    redis.call('HSET', KEYS[2], 'due', math.min(tonumber(due), now + tonumber(ARGV[6])))
  end
end
if redis.call('SET', KEYS[1], ARGV[1], 'NX') and not due and ARGV[9] ~= '' then
  redis.call('HSET', KEYS[2], 'due', ARGV[9])
end
return {'ok'}
