-- Counts what others wrote after the user's mark: two reads, whatever the log's length.
-- KEYS  1 head, 2 counts
-- ARGV  1 user

local personal = redis.call('HMGET', KEYS[2], 'a:' .. ARGV[1], 'm:' .. ARGV[1])
if not personal[2] then return 0 end
local total = tonumber(redis.call('HGET', KEYS[1], 'counted') or 0)
local others = tonumber(string.match(personal[2], '^%d+ (%d+)'))
return math.max(total - tonumber(personal[1] or 0) - others, 0)
