-- Lists the fields whose name starts with a prefix, in the order of their names.
-- KEYS: fields, index. ARGV: prefix, the lower bound as ZRANGEBYLEX takes it, limit
-- No byte of UTF-8 is 255: everything that starts with the prefix comes before.
local to = ARGV[1] == '' and '+' or '(' .. ARGV[1] .. '\255'
local names, listed = redis.call('ZRANGEBYLEX', KEYS[2], ARGV[2], to, 'LIMIT', 0, ARGV[3]), {}
-- Lua takes some thousand arguments.
for from = 1, #names, 1000 do
  local values = redis.call('HMGET', KEYS[1], unpack(names, from, math.min(from + 999, #names)))
  for i, value in ipairs(values) do
    listed[#listed + 1] = names[from + i - 1]
    listed[#listed + 1] = value or ''
  end
end
return listed
