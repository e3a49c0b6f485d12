-- Reads fields, after the time. KEYS: fields. ARGV: the names. A value is '1' and its text, or '0' for none
local clock = redis.call('TIME')
local values = {string.format('%d', clock[1] * 1000 + math.floor(clock[2] / 1000))}
if #ARGV == 0 then return values end
for i, value in ipairs(redis.call('HMGET', KEYS[1], unpack(ARGV))) do values[i + 1] = value and '1' .. value or '0' end
return values
