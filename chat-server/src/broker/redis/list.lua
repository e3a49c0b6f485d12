-- Lists fields by name.
-- KEYS  1 fields, 2 index
-- ARGV  1 prefix, 2 lower bound as ZRANGEBYLEX takes it, 3 limit
-- Gives {name, value, ...}

-- No UTF-8 holds the byte 255: this is above all that start with the prefix.
local names = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[2], '(' .. ARGV[1] .. '\255', 'LIMIT', 0, ARGV[3])
local reply = {}
for _, name in ipairs(names) do
  reply[#reply + 1] = name
  reply[#reply + 1] = redis.call('HGET', KEYS[1], name)
end
return reply
