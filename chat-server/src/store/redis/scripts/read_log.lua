-- Reads a part of a log, and from which offset on the log holds all entries: before it only counted ones are left.
-- KEYS: fields, log
-- ARGV: after, before or '', limit, 'oldest', 'counted' (the newest of these) or 'oldest counted', oldest age in ms
--       (0: any), an epoch, in case a new one begins
-- Replies the epoch, where earlier ones ended, the last offset and the first, the entries, and 1 if counted entries of
-- the range are left although the limit was not met, else 0.
local known = redis.call('HMGET', KEYS[1], HEAD, ENDED, TRIMMED)
local top, _, last_counted, _, _, _, _, _, epoch = open_log(KEYS[1], known[1], ARGV[6])
local trimmed = known[3]
local ended = epoch == ARGV[6] and redis.call('HGET', KEYS[1], ENDED) or known[2] or ''
if not epoch then epoch, top, last_counted = '', 0, 0 end
local after, limit, max_age = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[5])
local text = function(number) return string.format('%d', number) end
local at = function(offset)
  return redis.call('XRANGE', KEYS[2], text(offset) .. '-0', '+', 'COUNT', 1)[1]
end

local first = top + 1
local head = at(0)
if head then
  first = tonumber(string.match(head[1], '^%d+'))
  if max_age > 0 then
    local clock = redis.call('TIME')
    local oldest = clock[1] * 1000 + math.floor(clock[2] / 1000) - max_age
    if tonumber(head[2][4]) < oldest then
      -- Times rise with offsets: halve until the first entry that is young enough is found.
      local low, high = first, top + 1
      while low < high do
        local middle = math.floor((low + high) / 2)
        local entry = at(middle)
        if entry and tonumber(entry[2][4]) < oldest then low = middle + 1 else high = middle end
      end
      first = low
    end
  end
end

local from, to = math.max(after + 1, first), top
if ARGV[2] ~= '' then to = math.min(top, tonumber(ARGV[2]) - 1) end
local entries, more = {}, 0
local add = function(entry)
  local values = entry[2]
  entries[#entries + 1] = {values[14], string.match(entry[1], '^%d+'), values[4], values[2], values[6], values[12]}
end
if ARGV[4] == 'oldest' then
  if from <= to and limit > 0 then
    local page = redis.call('XRANGE', KEYS[2], text(from) .. '-0', text(to) .. '-0', 'COUNT', limit)
    for _, entry in ipairs(page) do add(entry) end
  end
elseif ARGV[4] == 'oldest counted' then
  to = math.min(to, last_counted)
  local asked = 0
  -- The first counted entry from an offset on. Each entry names the last counted one before it, so this halves.
  local next_counted = function(offset)
    local low, high = offset + 1, to + 1
    while low < high do
      local middle = math.floor((low + high) / 2)
      local entry = at(middle)
      local before = entry and tonumber(entry[2][16])
      asked = asked + 1
      if before and before < offset then low = middle + 1 else high = middle end
    end
    return low - 1
  end
  -- A few that are far from each other are enough: who wants more asks again.
  while from <= to and #entries < limit and (#entries == 0 or asked < 16) do
    local page = redis.call('XRANGE', KEYS[2], text(from) .. '-0', text(to) .. '-0', 'COUNT', limit - #entries)
    asked = asked + 1
    local last = page[#page]
    for _, entry in ipairs(page) do
      if entry[2][10] == '1' then add(entry) end
    end
    from = last and string.match(last[1], '^%d+') + 1 or to + 1
    if last and last[2][10] ~= '1' and from < to then from = next_counted(from) end
  end
  if from <= to and #entries < limit then more = 1 end
else
  -- Each entry names the last counted one before it, so each page begins at one.
  local many = limit
  while from <= to and #entries < limit do
    local had = #entries
    local page = redis.call('XREVRANGE', KEYS[2], text(to) .. '-0', text(from) .. '-0', 'COUNT', many)
    for _, entry in ipairs(page) do
      if entry[2][10] == '1' and #entries < limit then add(entry) end
    end
    if #page < many then break end
    local last = page[#page]
    to = tonumber(last[2][16] or string.match(last[1], '^%d+') - 1)
    many = math.max(4, math.min(limit, 2 * (#entries - had)))
  end
  for i = 1, math.floor(#entries / 2) do
    entries[i], entries[#entries + 1 - i] = entries[#entries + 1 - i], entries[i]
  end
end
if trimmed then first = math.max(first, math.min(struct.unpack(TRIMMED_FORM, trimmed), top + 1)) end
return {epoch, ended, text(top), text(first), entries, more}
