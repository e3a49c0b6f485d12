-- Lists the fields whose name starts with a prefix, in the order of their names; or counts them.
-- KEYS: fields, index. ARGV: prefix, the lower bound as ZRANGEBYLEX takes it, limit or 'count'
-- No byte of UTF-8 is 255: everything that starts with the prefix comes before.
local to = ARGV[1] == '' and '+' or '(' .. ARGV[1] .. '\255'
if ARGV[3] == 'count' then return redis.call('ZLEXCOUNT', KEYS[2], ARGV[2], to) end
local listed = {}
for i, name in ipairs(redis.call('ZRANGEBYLEX', KEYS[2], ARGV[2], to, 'LIMIT', 0, ARGV[3])) do
  listed[i * 2 - 1] = name
  listed[i * 2] = redis.call('HGET', KEYS[1], name) or ''
end
return listed
