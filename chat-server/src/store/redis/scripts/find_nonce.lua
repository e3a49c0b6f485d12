-- Finds the entry of a nonce.
-- KEYS: log, nonces. ARGV: author, '=' and nonce (one text); oldest age in ms (0: any)
local offset = redis.call('HGET', KEYS[2], ARGV[1])
local found = offset and redis.call('XRANGE', KEYS[1], offset .. '-0', offset .. '-0')[1]
if not found or found[2][6] .. found[2][8] ~= ARGV[1] then return {} end
if tonumber(ARGV[2]) > 0 then
  local clock = redis.call('TIME')
  if tonumber(found[2][4]) < clock[1] * 1000 + math.floor(clock[2] / 1000) - ARGV[2] then return {} end
end
-- Written again, in case the caller waits until it is durable, as in commit.lua.
redis.call('HSET', KEYS[2], ARGV[1], offset)
return {found[2][14], offset, found[2][4], found[2][2], found[2][6], found[2][12]}
