-- What must be so. Goes before the scripts that need it.

-- Compares fields with `expected` × (name, '1' or '0', value) from ARGV[at] on. Answers whether all hold,
-- and the values.
local holds = function(fields, at, expected)
  local names = {}
  for i = 1, expected do names[i] = ARGV[at - 3 + i * 3] end
  if expected == 0 then return true, names end
  local values = redis.call('HMGET', fields, unpack(names))
  for i = 1, expected do
    if values[i] ~= (ARGV[at - 2 + i * 3] == '1' and ARGV[at - 1 + i * 3]) then return false, values end
  end
  return true, values
end
