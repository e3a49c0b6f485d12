-- Marks a log as read up to an offset, or to its end. Replies where the mark is then, the epoch, and how many counted
-- entries of others come after it, which are no more than there are. Few entries are looked at, whatever the log holds:
-- those after the mark or those that it passes. If both are many, the number is in proportion, until a later mark is near
-- enough to the end.
-- KEYS: fields, log. ARGV: user, offset, oldest age in ms (0: any)
local MOST = 200
local known = redis.call('HMGET', KEYS[1], HEAD, BY .. ARGV[1], MARK .. ARGV[1], TRIMMED)
if not known[1] then return {'0', '', '0'} end
local top, at, _, counted, first, _, _, _, epoch = struct.unpack(HEAD_FORM, known[1])
local offset = math.min(tonumber(ARGV[2]), top)
local others = counted - tonumber(known[2] or 0)
local marked, seen = string.match(known[3] or '', '^(%d+):(%d+)$')
local most = others - tonumber(seen or 0)

local oldest, max_age = 0, tonumber(ARGV[3])
if max_age > 0 then
  local clock = redis.call('TIME')
  oldest = clock[1] * 1000 + math.floor(clock[2] / 1000) - max_age
end
-- What retention took is not unread any more.
local gone = 0
if known[4] then
  local _, before = struct.unpack(TRIMMED_FORM, known[4])
  gone = before
end
local kept = at < oldest and 0 or counted - gone
local reply = function(to, unread)
  return {string.format('%d', to), epoch, string.format('%d', math.min(unread, kept))}
end
if marked and tonumber(marked) >= offset then return reply(math.min(tonumber(marked), top), most) end
marked = tonumber(marked or 0)

-- Counted entries of others after one offset, up to another.
local between = function(from, to, since)
  local page = redis.call('XRANGE', KEYS[2], string.format('%d-0', from + 1), string.format('%d-0', to))
  local found = 0
  for _, entry in ipairs(page) do
    local values = entry[2]
    if values[10] == '1' and values[6] ~= ARGV[1] and tonumber(values[4]) >= since then found = found + 1 end
  end
  return found
end

local unread = 0
if offset < top and top - offset <= MOST then
  unread = between(offset, top, oldest)
elseif offset < top and offset - marked <= MOST and marked + 1 >= first then
  unread = most - between(marked, offset, 0)
elseif offset < top then
  -- What is gone from the log is not unread any more.
  local from = math.max(marked, first - 1)
  unread = math.floor(math.min(most, top - from) * math.min(1, (top - offset) / (top - from)))
end
unread = math.min(unread, most)
redis.call('HSET', KEYS[1], MARK .. ARGV[1], string.format('%d:%d', offset, others - unread))
return reply(offset, unread)
