-- Gives the due batch to the first server that asks, for the time of a lease. Due times go by Redis's clock. Each due
-- time is used once: a batch that no server claimed is not made up for.
--
-- KEYS    ready, queue
-- ARGV    id of the claim; lease (ms); the latest time to run (ms)
-- Answer  {"claim", from, mark, now, next due}, {"wait", at most so many ms, nil, now, due or nil},
--         {"empty"}, {"late"}
--
-- A late run would delay admission by a lease that no server uses, so the script refuses to run late.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
if now > tonumber(ARGV[3]) then
  return {'late', false, false, now, false}
end
if redis.call('EXISTS', KEYS[1]) == 0 then
  return {'empty', false, false, now, false}
end
local asked =
  {'opens', 'paused', 'every', 'batch', 'due', 'mark', 'seq', 'claim', 'claim_until', 'opened',
  'follow', 'rate', 'admits', 'credit', 'lot'}
local queue = redis.call('HMGET', KEYS[2], unpack(asked))
local opens, due = tonumber(queue[1]), tonumber(queue[5])
-- A sale that was open stays open when the clock is set back.
local opened = opens and (opens <= now or queue[10] == queue[1])
if queue[2] == '1' or not opened then
  return {'wait', 1000, false, now, queue[5]}
end
if queue[10] ~= queue[1] then
  redis.call('HSET', KEYS[2], 'opened', queue[1])
end
local every, lease = tonumber(queue[3]), tonumber(ARGV[2])
local follows, batch = queue[11] == 'objective', tonumber(queue[4])
if follows then
  -- Ten parts of an interval, each at least a tenth of a second: as in `Admission::entry_every`.
  every = math.min(math.max(math.floor(every / 10), 100), every)
end
if queue[8] then
  local left = tonumber(queue[9]) - now
  -- More than a lease is left only when the clock was set back.
  if left > 0 and left <= lease then
    return {'wait', left, false, now, queue[5]}
  end
  -- The claim expired. Its batch is still due, and the due time has already moved on.
  if not due or due <= now then
    due = now + every
  end
  batch = tonumber(queue[15]) or batch
else
  -- The due time is at most one interval away, so that a clock that was set back does not stop admission. It is stored,
  -- because otherwise it would move on with each call.
  local at = math.min(due or opens, now + every)
  if at ~= due then
    redis.call('HSET', KEYS[2], 'due', at)
  end
  if now < at then
    return {'wait', at - now, false, now, at}
  end
  due = at + every
  if due <= now then
    due = now + every
  end
  if follows then
    -- A fraction of a user stays due. Before the first decision no user is admitted.
    local credit = tonumber(queue[14]) or 0
    if queue[13] == '1' then
      credit = credit + (tonumber(queue[12]) or 0) * every / 1000
    end
    batch = math.floor(credit)
    redis.call('HSET', KEYS[2], 'credit', tostring(credit - batch))
  end
end
redis.call('HSET', KEYS[2], 'due', due)
local from = tonumber(queue[6]) or 0
local mark = math.min(from + batch, tonumber(queue[7]) or 0)
if mark <= from then
  redis.call('HDEL', KEYS[2], 'claim', 'claim_until')
  return {'wait', due - now, false, now, due}
end
redis.call('HSET', KEYS[2], 'claim', ARGV[1], 'claim_until', now + lease, 'lot', batch)
return {'claim', from, mark, now, due}
