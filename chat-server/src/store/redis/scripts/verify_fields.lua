-- Tells of topics whether each has a field. Where the index of the names lacks it, all of the index is made anew.
-- KEYS: for each topic: fields, index. ARGV: for each a name. Replies for each 1 or 0
local AT_ONCE = 1000

local reindex = function(fields, index)
  local all, scored = redis.call('HGETALL', fields), {}
  for i = 1, #all, 2 do
    -- What begins with the byte 255 is no field with a name.
    if string.byte(all[i]) ~= 255 then scored[#scored + 1], scored[#scored + 2] = 0, all[i] end
    if #scored >= AT_ONCE or i + 2 > #all then
      if #scored > 0 then redis.call('ZADD', index, unpack(scored)) end
      scored = {}
    end
  end
  local ttl = redis.call('PTTL', fields)
  if ttl >= 0 then redis.call('PEXPIRE', index, ttl) end
end

local found = {}
for i, name in ipairs(ARGV) do
  local fields, index = KEYS[i * 2 - 1], KEYS[i * 2]
  local there = redis.call('HGET', fields, name)
  if there and not redis.call('ZSCORE', index, name) then reindex(fields, index) end
  found[i] = there and 1 or 0
end
return found
