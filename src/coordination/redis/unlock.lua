-- Releases the lock of a seat if this holder still has it.
--
-- KEYS    lock
-- ARGV    token
-- Answer  {"ok"}, {"stale"}
--
-- Safe to run late or twice: the next holder has another token.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, ':(.*)$') == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return {'ok'}
end
return {'stale'}
