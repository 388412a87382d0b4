-- Releases the lock of a seat, if it is still this holder's.
--
-- KEYS    lock
-- ARGV    token
-- Answer  {"ok"}, {"stale"}
--
-- Run late or twice: the next holder has another token.
local held = redis.call('GET', KEYS[1])
if held and string.match(held, ':(.*)$') == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return {'ok'}
end
return {'stale'}
