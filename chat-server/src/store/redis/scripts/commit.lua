-- Changes a topic in one step: checks the expected fields, sets fields, appends to the log, publishes.
-- KEYS: fields, index, log, nonces
-- ARGV: an epoch, in case a new one begins, channel, ttl in ms or '', oldest age in ms (0: any), entries kept (0: all),
--       n, then n × (name, '1' or '0', value) expected; m, then m × (name, '1' or '0', value) to set;
--       event or '', author, payload, '=' and nonce or '', '1' if counted; a traceparent if it is traced
-- Replies 'done' (with epoch, offset and time of an entry), 'repeated' and the entry, or 'refused' and the values.
local fields, index, log, nonces = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local max_age, max_entries = tonumber(ARGV[4]), tonumber(ARGV[5])
local expected = tonumber(ARGV[6])
local sets_at = 7 + expected * 3
local sets = tonumber(ARGV[sets_at])
local append_at = sets_at + 1 + sets * 3
local event, author, payload, nonce, counted =
  ARGV[append_at], ARGV[append_at + 1], ARGV[append_at + 2], ARGV[append_at + 3], ARGV[append_at + 4]
local named = nonce ~= '' and author .. nonce

-- The reply that this nonce belongs to the entry at this offset; nothing if the entry is gone, or too old.
local repeated = function(offset)
  local found = redis.call('XRANGE', log, offset .. '-0', offset .. '-0')[1]
  if not found or found[2][6] .. found[2][8] ~= named then return end
  if max_age > 0 and tonumber(found[2][4]) < now - max_age then return end
  -- Written again, in case the caller waits until it is durable: WAIT covers only writes of the same connection.
  redis.call('HSET', nonces, named, offset)
  return {'repeated', found[2][14], offset, found[2][4], found[2][2], found[2][6], found[2][12]}
end

local names = {HEAD, BY .. author}
for i = 1, expected do names[i + 2] = ARGV[4 + i * 3] end
local values = redis.call('HMGET', fields, unpack(names))
local as_expected = holds(expected, 7, values, 3)
if named and not (as_expected and values[1]) then
  local offset = redis.call('HGET', nonces, named)
  local before = offset and repeated(offset)
  if before then return before end
end
if not as_expected then
  local answer = {'refused'}
  for i = 1, expected do answer[i + 1] = values[i + 2] and '1' .. values[i + 2] or '0' end
  return answer
end

local top, at, last_counted, count, first, since, expires, nonced, epoch, server = open_log(fields, values[1], ARGV[1])
local is_new = not epoch
if is_new then
  top, at, last_counted, count, first, since, expires, nonced, epoch, server = 0, 0, 0, 0, 0, 0, -1, 0, ARGV[1], server_id()
  -- A Redis that evicts keys may have left the log of a head that is gone.
  redis.call('DEL', log, nonces)
end
local appends = event ~= ''
local offset = appends and text(top + 1)
if named and redis.call('HSETNX', nonces, named, offset) == 0 then
  local before = repeated(redis.call('HGET', nonces, named))
  if before then return before end
  redis.call('HSET', nonces, named, offset)
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

-- A key that was created just now expires with the other keys of the topic. But where retention has a
-- maximum age, log and nonces expire with their last entry: nobody trims a log that goes quiet, so it
-- expires as a whole. They get a minute more, so that not every commit sets their expiry. The head says
-- when they expire (0: with the topic), and whether the nonces exist and have their expiry.
local fresh, ends = is_fresh(expires, now, max_age)
local set_expiry = ARGV[3] ~= '' or not appends or sets > 0 or not fresh or named and nonced == 0
local time
if appends then
  -- The clock of the system may go back; times in a log never do.
  at, top = math.max(now, at), top + 1
  time = text(at)
  -- No counted entry lies between `last_counted` and this one.
  add(log, offset, event, time, author, nonce, counted, payload, epoch, text(last_counted))
  local nonces_went
  first, since, nonces_went = trim_as_needed(log, nonces, first, since, top, now, max_age, max_entries, 16)
  -- All nonces may have been removed.
  if named then nonced = 1 elseif nonces_went or set_expiry and not fresh then nonced = 0 end
  if set_expiry then expires = ends end
  local by = {}
  if counted == '1' then
    last_counted, count = top, count + 1
    by = {BY .. author, text((values[2] or 0) + 1)}
  end
  local head = struct.pack(HEAD_FORM, top, at, last_counted, count, first, since, expires, nonced, epoch, server)
  redis.call('HSET', fields, HEAD, head, unpack(by))
  redis.call('PUBLISH', ARGV[2], frame_of(epoch, offset, time, author, event, payload, ARGV[append_at + 5]))
elseif is_new then
  redis.call('HSET', fields, HEAD,
    struct.pack(HEAD_FORM, top, at, last_counted, count, first, since, expires, nonced, epoch, server))
end

if set_expiry then
  local ttl = tonumber(ARGV[3] ~= '' and ARGV[3] or redis.call('PTTL', fields))
  if ttl >= 0 then
    for _, key in ipairs(KEYS) do redis.call('PEXPIRE', key, ttl) end
  end
  if appends and max_age > 0 and (ttl < 0 or now + ttl > ends) then
    redis.call('PEXPIREAT', log, text(ends))
    redis.call('PEXPIREAT', nonces, text(ends))
  elseif appends and max_age == 0 and ttl < 0 and not fresh then
    -- An expiry from when retention had a maximum age.
    redis.call('PERSIST', log)
    redis.call('PERSIST', nonces)
  end
end
if not appends then return {'done'} end
return {'done', epoch, offset, time}
