-- A part of a log, with what the log holds.
-- KEYS: head, log. ARGV: after, before or '', limit, 'oldest' or 'newest', oldest age in ms (0: any)
local known = redis.call('HMGET', KEYS[1], 'epoch', 'top')
local epoch, top = known[1] or '', tonumber(known[2] or 0)
local after, limit, max_age = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[5])
local text = function(number) return string.format('%.0f', number) end
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
local entries = {}
if from <= to and limit > 0 then
  local found
  if ARGV[4] == 'newest' then
    found = redis.call('XREVRANGE', KEYS[2], text(to) .. '-0', text(from) .. '-0', 'COUNT', limit)
  else
    found = redis.call('XRANGE', KEYS[2], text(from) .. '-0', text(to) .. '-0', 'COUNT', limit)
  end
  for i, entry in ipairs(found) do
    local place = ARGV[4] == 'newest' and #found + 1 - i or i
    entries[place] = {string.match(entry[1], '^%d+'), entry[2][4], entry[2][2], entry[2][6], entry[2][12]}
  end
end
return {epoch, text(top), text(first), entries}
