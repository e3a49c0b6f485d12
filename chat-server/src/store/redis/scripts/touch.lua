-- Sets the expiry of a topic. KEYS: all keys of the topic. ARGV: ttl in ms. Replies 1 if the topic exists, else 0
local there = 0
for _, key in ipairs(KEYS) do there = there + redis.call('PEXPIRE', key, ARGV[1]) end
return there > 0 and 1 or 0
