-- Renews the life of a topic.
-- KEYS  1 fields, 2 index, 3 head, 4 log, 5 nonces, 6 counts
-- ARGV  1 ttl in ms
-- Gives 1, or 0 if there is no such topic

if redis.call('EXISTS', KEYS[3]) == 0 then return 0 end
local time = redis.call('TIME')
local ends = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1])
local log_ends = tonumber(redis.call('HGET', KEYS[3], 'log_ends') or nil)
redis.call('HSET', KEYS[3], 'ends', string.format('%.0f', ends))
for i, key in ipairs(KEYS) do
  local last = ends
  if (i == 4 or i == 5) and log_ends and log_ends < ends then last = log_ends end
  redis.call('PEXPIREAT', key, string.format('%.0f', last))
end
return 1
