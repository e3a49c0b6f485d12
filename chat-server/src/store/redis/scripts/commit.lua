-- Changes a topic in one step: checks the expected fields, sets fields, appends to the log, publishes.
-- KEYS: fields, index, log, nonces
-- ARGV: an epoch, in case a new one begins, channel, ttl in ms or '' or 'PREFIX TTL' (the topic expires while no field
--       begins with PREFIX, and then does not expire), oldest age in ms (0: any), entries kept (0: all),
--       n, then n × (name, '1' or '0', value) expected; m, then m × (name, '1' or '0', value) to set;
--       event or '', author, payload, '=' and nonce or '', '1' if counted; a traceparent if it is traced, or ''; the
--       users that have read up to the entry; a prefix, and how many fields may begin with it, or ''
-- Replies 'done' (with epoch, offset and time of an entry), 'repeated' and the entry, 'refused' and the values, or 'full'.
local fields, index, log, nonces = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local max_age, max_entries = tonumber(ARGV[4]), tonumber(ARGV[5])
local expected = tonumber(ARGV[6])
local sets_at = 7 + expected * 3
local sets = tonumber(ARGV[sets_at])
local append_at = sets_at + 1 + sets * 3
local event, author, payload, nonce, counted =
  ARGV[append_at], ARGV[append_at + 1], ARGV[append_at + 2], ARGV[append_at + 3], ARGV[append_at + 4]
local readers, bounded = tonumber(ARGV[append_at + 6]), append_at + 7 + tonumber(ARGV[append_at + 6])
local named = nonce ~= '' and author .. nonce
local appends = event ~= ''
local now
if appends then
  local clock = redis.call('TIME')
  now = clock[1] * 1000 + math.floor(clock[2] / 1000)
end

-- The last offset, by the head.
local head_top = 0

-- The reply that this nonce belongs to the entry at this offset; nothing if the entry is gone, too old, or left over (see
-- below).
local repeated = function(offset)
  if tonumber(offset) > head_top then return end
  local found = redis.call('XRANGE', log, offset .. '-0', offset .. '-0')[1]
  if not found or found[2][6] .. found[2][8] ~= named then return end
  if max_age > 0 and tonumber(found[2][4]) < now - max_age then return end
  -- Written again, in case the caller waits until it is durable: WAIT covers only writes of the same connection.
  redis.call('HSET', nonces, named, offset)
  return {'repeated', found[2][14], offset, found[2][4], found[2][2], found[2][6], found[2][12]}
end

local names = {HEAD, BY .. author, TRIMMED}
for i = 1, expected do names[i + 3] = ARGV[4 + i * 3] end
for i = 1, readers do names[3 + expected + i] = BY .. ARGV[append_at + 6 + i] end
local prefix, added_from = ARGV[bounded], #names
for i = sets_at + 1, sets_at + sets * 3, 3 do
  local counts = prefix ~= '' and ARGV[i + 1] == '1' and string.sub(ARGV[i], 1, #prefix) == prefix
  if counts then names[#names + 1] = ARGV[i] end
end
local values = redis.call('HMGET', fields, unpack(names))
head_top = values[1] and struct.unpack('<d', values[1]) or 0
local as_expected = holds(expected, 7, values, 4)
if named and not (as_expected and values[1]) then
  local offset = redis.call('HGET', nonces, named)
  local before = offset and repeated(offset)
  if before then return before end
end
if not as_expected then
  local answer = {'refused'}
  for i = 1, expected do answer[i + 1] = values[i + 3] and '1' .. values[i + 3] or '0' end
  return answer
end

-- What changes: field and value, the names that are new to the index as far as is known, and the names that go.
local changed, scored, gone, indexed = {}, {}, {}, false
local known = {}
for i = 1, expected do
  if ARGV[5 + i * 3] == '1' then known[ARGV[4 + i * 3]], indexed = true, true end
end
for i = sets_at + 1, sets_at + sets * 3, 3 do
  local name = ARGV[i]
  if ARGV[i + 1] == '1' then
    changed[#changed + 1], changed[#changed + 2] = name, ARGV[i + 2]
    if not known[name] then scored[#scored + 1], scored[#scored + 2] = 0, name end
  else
    gone[#gone + 1] = name
  end
end
local added = 0
for i = added_from + 1, #names do
  if values[i] then indexed = true else added = added + 1 end
end
if added > 0 then
  local before = redis.call('ZLEXCOUNT', index, '[' .. prefix, '(' .. prefix .. '\255')
  if before + added > tonumber(ARGV[bounded + 1]) then return {'full'} end
  indexed = indexed or before > 0
end

-- Only an entry has an epoch: it is not asked for without need.
local top, at, last_counted, count, first, since, expires, nonced, epoch, server
if appends then
  top, at, last_counted, count, first, since, expires, nonced, epoch, server = open_log(fields, values[1], ARGV[1])
elseif values[1] then
  top, at, last_counted, count, first, since, expires, nonced, epoch, server = struct.unpack(HEAD_FORM, values[1])
end
local is_new = not epoch
if is_new then
  top, at, last_counted, count, first, since, expires, nonced, epoch, server = 0, 0, 0, 0, 0, 0, -1, 0, ARGV[1], server_id()
  if appends then first, since = 1, now end
  -- Somebody who deleted the fields may have left the other keys.
  redis.call('DEL', log, nonces, index)
  indexed = false
end
local offset = appends and text(top + 1)
if named and redis.call('HSETNX', nonces, named, offset) == 0 then
  local before = repeated(redis.call('HGET', nonces, named))
  if before then return before end
  redis.call('HSET', nonces, named, offset)
end
if #scored > 0 then redis.call('ZADD', index, unpack(scored)) end
if #gone > 0 then
  redis.call('HDEL', fields, unpack(gone))
  redis.call('ZREM', index, unpack(gone))
end
-- The index may have been created just now.
local index_is_new = #scored > 0 and not indexed

local life = ARGV[3]
local kind, while_empty = string.match(life, '^(%S+) (%d+)$')
if kind then
  local is_empty = redis.call('ZLEXCOUNT', index, '[' .. kind, '(' .. kind .. '\255') == 0
  life = is_empty and while_empty or redis.call('PTTL', fields) >= 0 and 'for ever' or ''
end

-- A key that was created just now expires with the other keys of the topic. But where retention has a
-- maximum age, log and nonces expire with their last entry: nobody trims a log that goes quiet, so it
-- expires as a whole. They get a minute more, so that not every commit sets their expiry. The head says
-- when they expire (0: with the topic), and whether the nonces exist and have their expiry.
local fresh, ends
if appends then fresh, ends = is_fresh(expires, now, max_age) end
local set_expiry = life ~= '' or index_is_new or appends and (not fresh or named and nonced == 0)
local time

-- Takes entries over that lie beyond the head. They are left over from scripts that failed half-way, as where the user
-- may not run one of the commands: Redis undoes nothing. Nobody was told that they are stored, and nobody that they are
-- not. Answers whether there were any, and which of them is this very entry.
local adopt = function()
  local by, mine, before = {}, nil, top
  for _, entry in ipairs(redis.call('XRANGE', log, text(top + 1) .. '-0', '+')) do
    local values = entry[2]
    top, at = tonumber(string.match(entry[1], '^%d+')), math.max(at, tonumber(values[4]))
    if values[10] == '1' then
      last_counted, count = top, count + 1
      by[values[6]] = (by[values[6]] or 0) + 1
    end
    if named and values[6] .. values[8] == named then mine = text(top) end
  end
  if top == before then return false end
  redis.call('HSET', fields, HEAD,
    struct.pack(HEAD_FORM, top, at, last_counted, count, first, since, expires, nonced, epoch, server))
  for who, more in pairs(by) do redis.call('HINCRBY', fields, BY .. who, more) end
  values[2], head_top = redis.call('HGET', fields, BY .. author), top
  for i = 1, readers do values[3 + expected + i] = redis.call('HGET', fields, BY .. ARGV[append_at + 6 + i]) end
  return true, mine
end

-- The reply of Redis to a command that failed.
local refusal = function(why) return redis.error_reply(type(why) == 'table' and why.err or why) end

if appends then
  local stored = function()
    -- The clock of the system may go back; times in a log never do.
    time = text(math.max(now, at))
    -- No counted entry lies between `last_counted` and this one.
    return pcall(add, log, offset, event, time, author, nonce, counted, payload, epoch, text(last_counted), text(count))
  end
  local done, why = stored()
  if not done then
    local adopted, mine = adopt()
    if not adopted then return refusal(why) end
    if mine then return repeated(mine) end
    offset = text(top + 1)
    if named then redis.call('HSET', nonces, named, offset) end
    done, why = stored()
    if not done then return refusal(why) end
  end
  at, top = math.max(now, at), top + 1
  if counted == '1' then
    last_counted, count = top, count + 1
    changed[#changed + 1], changed[#changed + 2] = BY .. author, text((values[2] or 0) + 1)
  end
  local nonces_went, trimmed
  first, since, nonces_went, trimmed =
    trim_as_needed(log, nonces, first, since, top, count, values[3], now, max_age, max_entries, 16)
  if trimmed then changed[#changed + 1], changed[#changed + 2] = TRIMMED, trimmed end
  -- All nonces may have been removed.
  if named then nonced = 1 elseif nonces_went or set_expiry and not fresh then nonced = 0 end
  if set_expiry then expires = ends end
  for i = 1, readers do
    local reader = ARGV[append_at + 6 + i]
    local own = (values[3 + expected + i] or 0) + (counted == '1' and reader == author and 1 or 0)
    changed[#changed + 1], changed[#changed + 2] = MARK .. reader, offset .. ':' .. text(count - own)
  end
end
if appends or is_new then
  changed[#changed + 1], changed[#changed + 2] = HEAD,
    struct.pack(HEAD_FORM, top, at, last_counted, count, first, since, expires, nonced, epoch, server)
end
if #changed > 0 then redis.call('HSET', fields, unpack(changed)) end
if appends then
  local trace = ARGV[append_at + 5]
  redis.call('PUBLISH', ARGV[2], frame_of(epoch, offset, time, author, event, payload, trace ~= '' and trace))
end

if set_expiry then
  -- What is new has no expiry.
  local ttl = tonumber(life) or (life ~= '' or is_new) and -1 or redis.call('PTTL', fields)
  if ttl >= 0 then
    if life ~= '' then redis.call('PEXPIRE', fields, ttl) end
    if life ~= '' or index_is_new then redis.call('PEXPIRE', index, ttl) end
    if top > 0 then
      redis.call('PEXPIRE', log, ttl)
      redis.call('PEXPIRE', nonces, ttl)
    end
  elseif life ~= '' then
    for _, key in ipairs(KEYS) do redis.call('PERSIST', key) end
  end
  if appends and max_age > 0 and (ttl < 0 or now + ttl > ends) then
    redis.call('PEXPIREAT', log, text(ends))
    if nonced == 1 or not is_new then redis.call('PEXPIREAT', nonces, text(ends)) end
  elseif appends and max_age == 0 and ttl < 0 and not fresh and not is_new then
    -- An expiry from when retention had a maximum age.
    redis.call('PERSIST', log)
    redis.call('PERSIST', nonces)
  end
end
if not appends then return {'done'} end
return {'done', epoch, offset, time}
