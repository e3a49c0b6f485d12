-- Library. An entry in the log and on the bus.

-- An integer as text: other ways take twice as long.
local text = function(number) return string.format('%d', number) end

-- Always these names in this order: the stream stores them once a block, and readers use the place of a value.
local add = function(log, offset, event, time, author, nonce, counted, payload, epoch, last_counted, before)
  redis.call('XADD', log, offset .. '-0', 'e', event, 't', time, 'b', author, 'n', nonce, 'c', counted, 'p', payload,
    'l', epoch, 's', last_counted, 'k', before)
end

-- A traced entry has a line with its traceparent before it.
local frame_of = function(epoch, offset, time, author, event, payload, trace)
  local followed = trace and 't' .. trace .. '\n' or ''
  return followed .. 'e' .. epoch .. '\n' .. offset .. '\n' .. time .. '\n' .. author .. '\n' .. event .. '\n' .. payload
end

-- Whether fields have the expected values: `expected` × (name, '1' or '0', value) from ARGV[at] on, compared with
-- values[from] and those after it.
local holds = function(expected, at, values, from)
  for i = 0, expected - 1 do
    if values[from + i] ~= (ARGV[at + 1 + i * 3] == '1' and ARGV[at + 2 + i * 3]) then return false end
  end
  return true
end
