-- The beginning of a log. Goes before the script that needs it.
--
-- To look at it costs as much as five entries do, so some go together. At most 16 go with each entry
-- that comes: the log shrinks, and no commit takes long.

-- Removes entries of a log that begins at `first` or later: if it begins before the offset `floor`
-- those before it and `spare` more, and those of a time before `oldest`. The last one stays in any
-- case. Says in the head where the log begins then. Answers whether nonces went, too.
local trim = function(head, log, nonces, first, floor, spare, oldest)
  -- What goes is read, because its nonces go with it; and one more, which is the first then.
  local many = oldest > 0 and 16 or math.min(16, floor + spare - first)
  local page = redis.call('XRANGE', log, '-', '+', 'COUNT', many + 1)
  local offset_of = function(entry) return string.match(entry[1], '^%d+') end
  floor = tonumber(offset_of(page[1])) < floor and floor + spare or 0
  local names, offsets = {}, {}
  for i, entry in ipairs(page) do
    local offset, values = offset_of(entry), entry[2]
    if i > 16 or tonumber(offset) >= floor and tonumber(values[4]) >= oldest then
      redis.call('HSET', head, 'first', offset, 'since', values[4])
      if i > 1 then redis.call('XTRIM', log, 'MINID', entry[1]) end
      break
    end
    if values[8] ~= '' then
      names[#names + 1] = values[6] .. values[8]
      offsets[#names] = offset
    end
  end
  if #names == 0 then return false end
  -- That of an entry past its age may stand for a later entry by now.
  local gone = {}
  for i, offset in ipairs(redis.call('HMGET', nonces, unpack(names))) do
    if offset == offsets[i] then gone[#gone + 1] = names[i] end
  end
  if #gone > 0 then redis.call('HDEL', nonces, unpack(gone)) end
  return #gone > 0
end
