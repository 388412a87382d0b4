-- Adds durable batches to the queue. A recovery sends them in parts, like places.
--
-- KEYS    batches
-- ARGV    for each batch: mark, time of the admission (ms)
-- Answer  {"ok"}
--
-- Safe to run late or twice: it only adds missing batches.
for at = 1, #ARGV, 2 do
  local mark = ARGV[at]
  if redis.call('ZCOUNT', KEYS[1], mark, mark) == 0 then
    redis.call('ZADD', KEYS[1], mark, mark .. ':' .. ARGV[at + 1])
  end
end
return {'ok'}
