-- Reads fields.
-- KEYS  1 fields
-- ARGV  names
-- Gives {now, value or nil, ...}

local time = redis.call('TIME')
local reply = {string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))}
for i, name in ipairs(ARGV) do
  reply[i + 1] = redis.call('HGET', KEYS[1], name)
end
return reply
