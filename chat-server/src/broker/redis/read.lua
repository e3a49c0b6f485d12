-- Reads a part of a log, and what the log holds.
-- KEYS  1 head, 2 log
-- ARGV  1 max age in ms, 2 after, 3 before ('' for none), 4 limit, 5 'oldest' or 'newest'
-- Gives {epoch, top, first, offset, entry, ...}, rising

local head, log = KEYS[1], KEYS[2]
local limit = tonumber(ARGV[4])
local function text(number) return string.format('%.0f', number) end
local known = redis.call('HMGET', head, 'epoch', 'top')
local top = tonumber(known[2] or 0)
local reply = {known[1] or '', text(top), text(top + 1)}
local front = redis.call('XRANGE', log, '-', '+', 'COUNT', 1)[1]
if not front then return reply end

-- Entries past their age are a prefix of the log. Offsets have no holes, so it ends where halving
-- finds it: in a log of a million entries after 20 looks.
local first = tonumber(string.match(front[1], '^%d+'))
local max_age = tonumber(ARGV[1])
if max_age > 0 then
  local time = redis.call('TIME')
  local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - max_age
  local function over(entry) return not entry or tonumber(string.match(entry[2][2], '^%d+')) < oldest end
  if over(front) then
    local high = top + 1
    first = first + 1
    while first < high do
      local middle = math.floor((first + high) / 2)
      if over(redis.call('XRANGE', log, text(middle), text(middle))[1]) then
        first = middle + 1
      else
        high = middle
      end
    end
  end
end
reply[3] = text(first)

local from = math.max(tonumber(ARGV[2]) + 1, first)
local to = ARGV[3] == '' and top or math.min(tonumber(ARGV[3]) - 1, top)
if limit == 0 or from > to then return reply end
local newest = ARGV[5] == 'newest'
local entries
if newest then
  entries = redis.call('XREVRANGE', log, text(to), text(from), 'COUNT', limit)
else
  entries = redis.call('XRANGE', log, text(from), text(to), 'COUNT', limit)
end
for i = 1, #entries do
  local entry = entries[newest and #entries + 1 - i or i]
  reply[#reply + 1] = string.match(entry[1], '^%d+')
  reply[#reply + 1] = entry[2][2]
end
return reply
