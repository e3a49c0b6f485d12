-- Changes a topic in one step: what was expected, the fields, the log, and the news of it.
-- KEYS: fields, index, head, log, nonces, counts
-- ARGV: epoch of a new life, channel, ttl in ms or '', oldest age in ms (0: any), entries kept (0: all),
--       n, then n × (name, '1' or '0', value) expected; m, then m × (name, '1' or '0', value) to set;
--       event or '', author, payload, '=' and nonce or '', '1' if counted
local fields, index, head, log, nonces, counts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local max_age, max_entries = tonumber(ARGV[4]), tonumber(ARGV[5])
local oldest = max_age > 0 and now - max_age or 0
local expected = tonumber(ARGV[6])
local sets_at = 7 + expected * 3
local sets = tonumber(ARGV[sets_at])
local append_at = sets_at + 1 + sets * 3
local event, author, payload, nonce, counted =
  ARGV[append_at], ARGV[append_at + 1], ARGV[append_at + 2], ARGV[append_at + 3], ARGV[append_at + 4]

if nonce ~= '' then
  local offset = redis.call('HGET', nonces, author .. nonce)
  local found = offset and redis.call('XRANGE', log, offset .. '-0', offset .. '-0')[1]
  if found and tonumber(found[2][4]) >= oldest then
    return {'repeated', found[2][14], offset, found[2][4], found[2][2], found[2][6], found[2][12]}
  end
end

if expected > 0 then
  local refused = false
  local values = {'refused'}
  for i = 0, expected - 1 do
    local value = redis.call('HGET', fields, ARGV[7 + i * 3])
    local wanted = ARGV[8 + i * 3] == '1' and ARGV[9 + i * 3] or false
    if value ~= wanted then refused = true end
    values[i + 2] = value and '1' .. value or '0'
  end
  if refused then return values end
end

local epoch, top, last = live(head, ARGV[1])
if not epoch then
  epoch, top, last = ARGV[1], 0, 0
  begin(head, epoch)
  -- A Redis that evicts keys may have left the log of a head that is gone.
  redis.call('DEL', log, nonces, counts)
end
for i = sets_at + 1, sets_at + sets * 3, 3 do
  if ARGV[i + 1] == '1' then
    redis.call('HSET', fields, ARGV[i], ARGV[i + 2])
    redis.call('ZADD', index, 0, ARGV[i])
  else
    redis.call('HDEL', fields, ARGV[i])
    redis.call('ZREM', index, ARGV[i])
  end
end

local result = {'done'}
if event ~= '' then
  -- The clock of the system may go back; that of the log does not.
  local time = string.format('%.0f', math.max(now, last))
  local offset = string.format('%.0f', top + 1)
  redis.call('HSET', head, 'top', offset, 'at', time)
  -- Always these names in this order: the stream stores them once a block, and reads go by place.
  redis.call('XADD', log, offset .. '-0', 'e', event, 't', time, 'b', author, 'n', nonce, 'c', counted, 'p', payload,
    'l', epoch)
  if nonce ~= '' then redis.call('HSET', nonces, author .. nonce, offset) end
  if counted == '1' then
    redis.call('HINCRBY', counts, 'n', 1)
    redis.call('HINCRBY', counts, 'a:' .. author, 1)
  end

  -- At most 16 go with each that comes: the log shrinks, and no commit takes long. What goes is
  -- read before, because its nonces go with it.
  local over = max_entries > 0 and redis.call('XLEN', log) - max_entries or 0
  local page = {}
  if over > 0 or max_age > 0 then
    page = redis.call('XRANGE', log, '-', '+', 'COUNT', math.min(16, math.max(over, 1)))
    if max_age > 0 and over < 16 and tonumber(page[1][2][4]) < oldest then
      page = redis.call('XRANGE', log, '-', '+', 'COUNT', 16)
    end
  end
  local trimmed = nil
  for i, entry in ipairs(page) do
    local values = entry[2]
    if i > over and tonumber(values[4]) >= oldest then break end
    trimmed = string.match(entry[1], '^%d+')
    local name = values[6] .. values[8]
    if values[8] ~= '' and redis.call('HGET', nonces, name) == trimmed then redis.call('HDEL', nonces, name) end
  end
  if trimmed then redis.call('XTRIM', log, 'MINID', string.format('%.0f-0', trimmed + 1)) end

  redis.call('PUBLISH', ARGV[2], table.concat({'e' .. epoch, offset, time, author, event, payload}, '\n'))
  result = {'done', epoch, offset, time}
end

-- A key that was made just now gets the life of the others.
local ttl = ARGV[3] ~= '' and ARGV[3] or redis.call('PTTL', head)
if tonumber(ttl) >= 0 then
  for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
end
-- A log that goes quiet is trimmed by nobody: it goes as a whole when its last entry is past its age.
if event ~= '' and max_age > 0 and (tonumber(ttl) < 0 or tonumber(ttl) > max_age) then
  redis.call('PEXPIRE', log, max_age + 1000)
  redis.call('PEXPIRE', nonces, max_age + 1000)
end
return result
