-- Finds what an author appended under a nonce.
-- KEYS  1 head, 2 log, 3 nonces
-- ARGV  1 max age in ms, 2 by, '=', nonce
-- Gives {epoch, offset, entry} or nil

local time = redis.call('TIME')
local max_age = tonumber(ARGV[1])
local oldest = max_age > 0 and time[1] * 1000 + math.floor(time[2] / 1000) - max_age or 0
local offset = redis.call('HGET', KEYS[3], ARGV[2])
local found = offset and redis.call('XRANGE', KEYS[2], offset, offset)[1]
if not found or tonumber(string.match(found[2][2], '^%d+')) < oldest then return false end
return {redis.call('HGET', KEYS[1], 'epoch'), offset, found[2][2]}
