-- Shares the measurement of a server. The first server that asks in a step gets the turn to decide on the rate of
-- admission.
--
-- KEYS    ready, queue, figures
-- ARGV    the server; its figures; how long figures count (ms); a step (ms); id of the turn; the latest time
--         to run
-- Answer  {"turn", id, state of the law or nil, {figures of each server}}, {"wait", nil, nil, {}},
--         {"empty", nil, nil, {}}, {"late", nil, nil, {}}
--
-- A late run would share old figures as new ones, so the script refuses to run late.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[6]) then
  return {'late', false, false, {}}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty', false, false, {}}
end
redis.call('HSET', KEYS[3], ARGV[1], now .. ':' .. ARGV[2])
local queue = redis.call('HMGET', KEYS[2], 'turn_at', 'law')
local since = now - (tonumber(queue[1]) or 0)
-- Negative only when the clock was set back.
if since >= 0 and since < tonumber(ARGV[4]) then
  return {'wait', false, false, {}}
end
local figures = {}
local all = redis.call('HGETALL', KEYS[3])
for i = 1, #all, 2 do
  local at, text = string.match(all[i + 1], '^(%d+):(.*)$')
  local age = now - (tonumber(at) or 0)
  if age >= 0 and age <= tonumber(ARGV[3]) then
    figures[#figures + 1] = text
  else
    redis.call('HDEL', KEYS[3], all[i])
  end
end
redis.call('HSET', KEYS[2], 'turn_at', now, 'turn', ARGV[5])
return {'turn', tonumber(ARGV[5]), queue[2], figures}
