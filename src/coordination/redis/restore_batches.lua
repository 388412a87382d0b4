-- Gives the queue batches that are durable: a part of them, as above.
--
-- KEYS    batches
-- ARGV    for each mark, since when (ms)
-- Answer  {"ok"}
--
-- Run late or twice: adds what is missing.
for at = 1, #ARGV, 2 do
  local mark = ARGV[at]
  if redis.call('ZCOUNT', KEYS[1], mark, mark) == 0 then
    redis.call('ZADD', KEYS[1], mark, mark .. ':' .. ARGV[at + 1])
  end
end
return {'ok'}
