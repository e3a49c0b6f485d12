-- Marks a log as read.
--
-- Each entry carries how many counted entries the log had with it, so how many lie at or before
-- a mark is read off one entry. How many of these are the user's own is kept with the mark and
-- carried on by scanning the entries between the old and the new mark, or between the new mark
-- and the top, whichever are fewer; not at all if the mark is at the top or the user wrote
-- nothing since the old mark. All the marks of a user together scan each entry once at most.
-- Entries that were removed before they were marked count as read: nobody can read them.
--
-- KEYS  1 head, 2 log, 3 counts
-- ARGV  1 user, 2 offset
-- Gives how many counted entries of others come after the mark

local head, log, counts = KEYS[1], KEYS[2], KEYS[3]
local user = ARGV[1]
local CHUNK = 256
local function text(number) return string.format('%.0f', number) end

local known = redis.call('HMGET', head, 'epoch', 'top', 'counted', 'ends')
if not known[1] then return 0 end
local top, total = tonumber(known[2] or 0), tonumber(known[3] or 0)
local personal = redis.call('HMGET', counts, 'a:' .. user, 'm:' .. user)
local own = tonumber(personal[1] or 0)
local old, old_others, old_own = 0, 0, 0
if personal[2] then
  local a, b, c = string.match(personal[2], '^(%d+) (%d+) (%d+)$')
  old, old_others, old_own = tonumber(a), tonumber(b), tonumber(c)
end
local offset = math.min(tonumber(ARGV[2]), top)
if personal[2] and offset <= old then
  return math.max(total - own - old_others, 0)
end

-- How many of the user's own lie from `from` to `to`; looks no further once it found `most`.
local function count_own(from, to, most)
  local found = 0
  while from <= to and found < most do
    local entries = redis.call('XRANGE', log, text(from), text(to), 'COUNT', CHUNK)
    for _, entry in ipairs(entries) do
      if string.byte(entry[2][4]) == 43 and string.match(entry[2][2], '^%d+ (%S+)') == user then
        found = found + 1
      end
    end
    if #entries < CHUNK then break end
    from = tonumber(string.match(entries[#entries][1], '^%d+')) + 1
  end
  return found
end

local at_mark, own_at_mark = total, own
if offset < top then
  local next_entry = redis.call('XRANGE', log, text(offset), '+', 'COUNT', 1)[1]
  if next_entry then
    local sign, counted = string.match(next_entry[2][4], '^([+-])(%d+)')
    local first = tonumber(string.match(next_entry[1], '^%d+'))
    at_mark = tonumber(counted)
    -- The marked entry is gone: this is the first that is left, and the mark lies before it.
    if first > offset and sign == '+' then at_mark = at_mark - 1 end
    local since = own - old_own
    if since > 0 then
      if offset - old < top - offset and first == offset and
        redis.call('XRANGE', log, text(old + 1), text(old + 1))[1] then
        own_at_mark = old_own + count_own(old + 1, offset, since)
      else
        own_at_mark = own - count_own(offset + 1, top, since)
      end
    end
  end
end
local others = math.max(at_mark - own_at_mark, 0)
redis.call('HSET', counts, 'm:' .. user, text(offset) .. ' ' .. text(others) .. ' ' .. text(own_at_mark))
if known[4] then redis.call('PEXPIREAT', counts, known[4]) end
return math.max(total - own - others, 0)
