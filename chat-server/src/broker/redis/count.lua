-- Counts fields by prefix.
-- KEYS  1 index
-- ARGV  1 prefix

return redis.call('ZLEXCOUNT', KEYS[1], '[' .. ARGV[1], '(' .. ARGV[1] .. '\255')
