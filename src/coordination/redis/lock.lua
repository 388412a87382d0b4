-- Tries the lock of a seat. The lock holds its fencing value and the token of its holder.
--
-- KEYS    lock, fence
-- ARGV    token; time to live (ms); the latest time to run (ms); the keyed request, or ""
-- Answer  {"held", fencing value}, {"busy", nil}, {"copy", nil} when a copy of the same keyed request
--         holds it, {"late", nil}
--
-- A late run would lock a seat for a request that has given up, so the script refuses to run late.
local time = redis.call('TIME')
if time[1] * 1000 + time[2] / 1000 > tonumber(ARGV[3]) then
  return {'late', false}
end
local holder = redis.call('GET', KEYS[1])
if holder then
  local request = '.' .. ARGV[4]
  local is_copy = ARGV[4] ~= '' and string.sub(holder, -#request) == request
  return {is_copy and 'copy' or 'busy', false}
end
local fence = redis.call('INCR', KEYS[2])
if fence == 1 then
  -- Redis may have lost the counter. A new one begins above every value that the lost one gave.
  fence = time[1] * 1000000 + time[2]
  redis.call('SET', KEYS[2], string.format('%.0f', fence))
end
redis.call('SET', KEYS[1], string.format('%.0f', fence) .. ':' .. ARGV[1], 'NX', 'PX', ARGV[2])
return {'held', fence}
