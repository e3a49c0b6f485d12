-- Changes a topic: expectations, fields, log, counters, nonce, trimming, life and publication in
-- one step. Redis does not undo what a script did before an error, so everything that can be
-- refused comes before the first write, and the first write of an append is XADD, the only one
-- that can fail on what an intact topic holds.
--
-- KEYS  1 fields, 2 index, 3 head, 4 log, 5 nonces, 6 counts
-- ARGV  1 channel, 2 epoch if a life begins, 3 ttl in ms ('' leaves it), 4 max age in ms,
--       5 max entries, 6 number of expectations, 7 number of changes,
--       8 event ('' appends nothing), 9 by, 10 payload, 11 nonce ('=' before it, '' for none),
--       12 counted (1 or 0), then the expectations and the changes as name, value
--       ('=' before it, '' for absent)
-- Gives {'done'} | {'done', epoch, offset, at} | {'repeated', epoch, offset, entry} |
--       {'refused', value or nil, ...}

local fields, index, head, log, nonces, counts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local max_age, max_entries = tonumber(ARGV[4]), tonumber(ARGV[5])
local expected, changed = tonumber(ARGV[6]), tonumber(ARGV[7])
local event, by, nonce = ARGV[8], ARGV[9], ARGV[11]
-- How much of the past one commit removes at most: a constant, more than one commit adds.
local TRIMMED_AT_ONCE = 16
-- The log as a whole goes this much after its last entry is past its age.
local SLACK = 1000

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = max_age > 0 and now - max_age or 0
local function text(number) return string.format('%.0f', number) end
local function at_of(entry) return tonumber(string.match(entry[2][2], '^%d+')) end

local known = redis.call('HMGET', head, 'epoch', 'top', 'counted', 'ends', 'log_ends')
local epoch, top, counted = known[1], tonumber(known[2] or 0), tonumber(known[3] or 0)
local ends, log_ends = tonumber(known[4] or nil), tonumber(known[5] or nil)

if event ~= '' and nonce ~= '' then
  local offset = redis.call('HGET', nonces, by .. nonce)
  local found = offset and redis.call('XRANGE', log, offset, offset)[1]
  if found and at_of(found) >= oldest then
    return {'repeated', epoch, offset, found[2][2]}
  end
end

local place = 13
if expected > 0 then
  local refused, holds = {'refused'}, true
  for i = 1, expected do
    local value = redis.call('HGET', fields, ARGV[place])
    refused[i + 1] = value
    holds = holds and (value and '=' .. value or '') == ARGV[place + 1]
    place = place + 2
  end
  if not holds then return refused end
end

local reply, changes = {'done'}, {}
if not epoch then
  epoch = ARGV[2]
  changes = {'epoch', epoch}
end

local frame
if event ~= '' then
  top = top + 1
  local offset = text(top)
  local entry = text(now) .. ' ' .. by .. ' ' .. event .. ' ' .. ARGV[10]
  local sign = '-'
  if ARGV[12] == '1' then
    sign, counted = '+', counted + 1
  end
  redis.call('XADD', log, offset .. '-0', 'e', entry, 'k', sign .. text(counted) .. nonce)
  if sign == '+' then
    redis.call('HINCRBY', counts, 'a:' .. by, 1)
    changes[#changes + 1] = 'counted'
    changes[#changes + 1] = text(counted)
  end
  if nonce ~= '' then redis.call('HSET', nonces, by .. nonce, offset) end
  changes[#changes + 1] = 'top'
  changes[#changes + 1] = offset
  frame = 'E ' .. epoch .. ' ' .. offset .. ' ' .. entry
  reply = {'done', epoch, offset, text(now)}
end

for _ = 1, changed do
  local name, value = ARGV[place], ARGV[place + 1]
  if value == '' then
    if redis.call('HDEL', fields, name) == 1 then redis.call('ZREM', index, name) end
  elseif redis.call('HSET', fields, name, string.sub(value, 2)) == 1 then
    redis.call('ZADD', index, 0, name)
  end
  place = place + 2
end

if frame and (max_entries > 0 or max_age > 0) then
  local excess = max_entries > 0 and redis.call('XLEN', log) - max_entries or 0
  local function removable(entries)
    local count = 0
    for i, entry in ipairs(entries) do
      if i > excess and at_of(entry) >= oldest then break end
      count = i
    end
    return count
  end
  if excess > 0 or max_age > 0 then
    -- Mostly one entry goes or none: look at two, and at more only if both go.
    local entries = redis.call('XRANGE', log, '-', '+', 'COUNT', 2)
    local count = removable(entries)
    if count == 2 then
      entries = redis.call('XRANGE', log, '-', '+', 'COUNT', TRIMMED_AT_ONCE)
      count = removable(entries)
    end
    for i = 1, count do
      local offset = string.match(entries[i][1], '^%d+')
      local given = string.match(entries[i][2][4], '=.*$')
      if given then
        local name = string.match(entries[i][2][2], '^%d+ (%S+)') .. given
        -- The same nonce may stand for a later entry by now, if this one was past its age.
        if redis.call('HGET', nonces, name) == offset then redis.call('HDEL', nonces, name) end
      end
      if i == count then redis.call('XTRIM', log, 'MINID', '=', text(offset + 1)) end
    end
  end
end

-- A log in which nothing happens any more is not trimmed by commits: it goes as a whole.
local renewed = false
if ARGV[3] ~= '' then
  ends, renewed = now + tonumber(ARGV[3]), true
  changes[#changes + 1] = 'ends'
  changes[#changes + 1] = text(ends)
end
if frame and max_age > 0 then
  log_ends, renewed = now + max_age + SLACK, true
  changes[#changes + 1] = 'log_ends'
  changes[#changes + 1] = text(log_ends)
elseif frame and log_ends then
  -- Entries are no longer to end: the configuration was changed.
  redis.call('HDEL', head, 'log_ends')
  redis.call('PERSIST', log)
  redis.call('PERSIST', nonces)
  log_ends = nil
end
if #changes > 0 then redis.call('HSET', head, unpack(changes)) end
if ends then
  -- Also without a new ttl: a key may have been made anew just now.
  for i, key in ipairs(KEYS) do
    local last = ends
    if (i == 4 or i == 5) and log_ends and log_ends < ends then last = log_ends end
    redis.call('PEXPIREAT', key, text(last))
  end
elseif renewed then
  redis.call('PEXPIREAT', log, text(log_ends))
  if nonce ~= '' then redis.call('PEXPIREAT', nonces, text(log_ends)) end
end

if frame then redis.call('PUBLISH', ARGV[1], frame) end
return reply
