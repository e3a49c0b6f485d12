-- Counts the counted entries of a log that are gone, or past the maximum age and still there. Each entry says how many were
-- before it, so a few are looked at, by halves.
-- KEYS: fields, log. ARGV: oldest age in ms
local head = redis.call('HGET', KEYS[1], HEAD)
if not head then return 0 end
local top, at, _, counted, first = struct.unpack(HEAD_FORM, head)
local clock = redis.call('TIME')
local oldest = clock[1] * 1000 + math.floor(clock[2] / 1000) - tonumber(ARGV[1])
if at < oldest then return counted end

local from = function(offset)
  return redis.call('XRANGE', KEYS[2], string.format('%d-0', offset), '+', 'COUNT', 1)[1]
end
local low, high = first, top
while low < high do
  local middle = math.floor((low + high) / 2)
  local entry = from(middle)
  if entry and tonumber(entry[2][4]) < oldest then
    low = tonumber(string.match(entry[1], '^%d+')) + 1
  else
    high = middle
  end
end
local left = from(low)
if not left then return counted end
-- Entries of versions that did not count those before them.
return tonumber(left[2][18]) or 0
