-- Marks a log as read up to an offset. Replies how many counted entries of others come after the mark. At the end of
-- the log this takes the same time whatever the log holds; before it, the script pages backwards through the entries
-- after the mark until it has found all that can be unread.
-- KEYS: fields, log. ARGV: user, offset, oldest age in ms (0: any)
local known = redis.call('HMGET', KEYS[1], HEAD, BY .. ARGV[1], MARK .. ARGV[1])
if not known[1] then return 0 end
local top, _, _, counted = struct.unpack(HEAD_FORM, known[1])
local offset = math.min(tonumber(ARGV[2]), top)
local others = counted - tonumber(known[2] or 0)
local marked, seen = string.match(known[3] or '', '^(%d+):(%d+)$')
local most = others - tonumber(seen or 0)
if marked and tonumber(marked) >= offset then return most end

local oldest, max_age = 0, tonumber(ARGV[3])
if max_age > 0 then
  local clock = redis.call('TIME')
  oldest = clock[1] * 1000 + math.floor(clock[2] / 1000) - max_age
end
local unread, to, from = 0, '+', string.format('%d-0', offset + 1)
while offset < top and unread < most do
  local page = redis.call('XREVRANGE', KEYS[2], to, from, 'COUNT', 100)
  for _, entry in ipairs(page) do
    local values = entry[2]
    if values[10] == '1' and values[6] ~= ARGV[1] and tonumber(values[4]) >= oldest then unread = unread + 1 end
  end
  if #page < 100 then break end
  to = '(' .. page[#page][1]
end
redis.call('HSET', KEYS[1], MARK .. ARGV[1], string.format('%d:%d', offset, others - unread))
return unread
