-- How many counted entries of others come after the user's mark. KEYS: counts. ARGV: user
local known = redis.call('HMGET', KEYS[1], 'n', 'a:' .. ARGV[1], 'm:' .. ARGV[1])
local seen = string.match(known[3] or '', ':(%d+)$')
if not seen then return 0 end
return tonumber(known[1] or 0) - tonumber(known[2] or 0) - tonumber(seen)
