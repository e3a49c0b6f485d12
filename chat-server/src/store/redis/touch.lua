-- Renews the life of a topic. KEYS: all of its keys. ARGV: ttl in ms
local there = 0
for _, key in ipairs(KEYS) do there = there + redis.call('PEXPIRE', key, ARGV[1]) end
return there > 0 and 1 or 0
