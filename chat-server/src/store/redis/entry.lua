-- What an entry is in the log and on the bus. Goes before the scripts that append.

-- A whole number as text: other ways take twice as long.
local text = function(number) return string.format('%d', number) end

-- Always these names in this order: the stream stores them once a block, and reads go by place.
local add = function(log, offset, event, time, author, nonce, counted, payload, epoch, said)
  redis.call('XADD', log, offset .. '-0', 'e', event, 't', time, 'b', author, 'n', nonce, 'c', counted, 'p', payload,
    'l', epoch, 's', said)
end

-- What is followed says so in a line before.
local frame_of = function(epoch, offset, time, author, event, payload, trace)
  local followed = trace and 't' .. trace .. '\n' or ''
  return followed .. 'e' .. epoch .. '\n' .. offset .. '\n' .. time .. '\n' .. author .. '\n' .. event .. '\n' .. payload
end

-- Whether fields hold what is expected of them: `expected` × (name, '1' or '0', value) from ARGV[at] on, and the
-- values from values[from] on.
local holds = function(expected, at, values, from)
  for i = 0, expected - 1 do
    if values[from + i] ~= (ARGV[at + 1 + i * 3] == '1' and ARGV[at + 2 + i * 3]) then return false end
  end
  return true
end
