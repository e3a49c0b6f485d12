-- What an entry is in the log and on the bus. Goes before the scripts that append.

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
