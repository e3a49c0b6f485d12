-- Changes a topic in one step: what was expected, the fields, the log, and the news of it.
-- KEYS: fields, index, head, log, nonces, counts
-- ARGV: epoch of a new life, channel, ttl in ms or '', oldest age in ms (0: any), entries kept (0: all),
--       n, then n × (name, '1' or '0', value) expected; m, then m × (name, '1' or '0', value) to set;
--       event or '', author, payload, '=' and nonce or '', '1' if counted; a traceparent if it is followed
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
local named = nonce ~= '' and author .. nonce

if named then
  local offset = redis.call('HGET', nonces, named)
  local found = offset and redis.call('XRANGE', log, offset .. '-0', offset .. '-0')[1]
  if found and tonumber(found[2][4]) >= oldest then
    -- Written again, for one who waits until it is safe: Redis can tell that only of what was written by the asker.
    redis.call('HSET', nonces, named, offset)
    return {'repeated', found[2][14], offset, found[2][4], found[2][2], found[2][6], found[2][12]}
  end
end

local as_expected, values = holds(fields, 7, expected)
if not as_expected then
  local answer = {'refused'}
  for i = 1, expected do answer[i + 1] = values[i] and '1' .. values[i] or '0' end
  return answer
end

local epoch, top, last, _, first, since, lives, kinds, said = live(head, ARGV[1])
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

local result
kinds = tonumber(kinds or 0)
if event ~= '' then
  -- The clock of the system may go back; that of the log does not.
  local time = string.format('%.0f', math.max(now, last))
  local offset = string.format('%.0f', top + 1)
  -- No counted entry lies between that and this one.
  said = said or string.format('%.0f', top)
  add(log, offset, event, time, author, nonce, counted, payload, epoch, said)
  redis.call('HSET', head, 'top', offset, 'at', time, 'said', counted == '1' and offset or said)
  if named then redis.call('HSET', nonces, named, offset) end
  if counted == '1' then
    -- Text: a number of Lua takes longer to be written than to be added.
    redis.call('HINCRBY', counts, 'n', '1')
    redis.call('HINCRBY', counts, 'a:' .. author, '1')
  end

  if trim_as_needed(head, log, nonces, first, since, top + 1, now, max_age, max_entries, 16) and not named then
    -- They may have been all.
    kinds = bit.band(kinds, 2)
    redis.call('HSET', head, 'kinds', kinds)
  end

  redis.call('PUBLISH', ARGV[2], frame_of(epoch, offset, time, author, event, payload, ARGV[append_at + 5]))
  result = {'done', epoch, offset, time}
end

-- A key that was made just now gets the life of the others; but log and nonces of entries that have
-- an age no longer one than the last of them, because a log that goes quiet is trimmed by nobody:
-- it goes as a whole. They get a minute more, so that not every commit has to see to them. The head
-- says until when they live (0: as long as the topic), and what else was there and seen to (1: the
-- nonces, 2: the counts).
local needed = (named and 1 or 0) + (counted == '1' and 2 or 0)
local fresh, most = is_fresh(lives, now, max_age)
if ARGV[3] ~= '' or event == '' or sets > 0 or not fresh or bit.band(kinds, needed) ~= needed then
  local ttl = tonumber(ARGV[3] ~= '' and ARGV[3] or redis.call('PTTL', head))
  if ttl >= 0 then
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
  end
  if event ~= '' then
    local ends = string.format('%.0f', most)
    if max_age > 0 and (ttl < 0 or now + ttl > most) then
      redis.call('PEXPIREAT', log, ends)
      redis.call('PEXPIREAT', nonces, ends)
    elseif max_age == 0 and ttl < 0 and not fresh then
      -- From when entries had an age.
      redis.call('PERSIST', log)
      redis.call('PERSIST', nonces)
    end
    redis.call('HSET', head, 'until', ends, 'kinds', fresh and bit.bor(kinds, needed) or needed)
  end
end
return result or {'done'}
