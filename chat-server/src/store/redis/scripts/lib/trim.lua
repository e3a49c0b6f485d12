-- Library. Retention: removes the oldest entries of a log.
--
-- To look at the beginning of a log costs as much as five entries do, so several are removed together. Each new entry
-- removes at most 16: the log shrinks, and no commit takes long.

-- Removes entries of a log that begins at `first` or later, `most` at most: those that are older than `oldest`; and,
-- if the log begins before the offset `floor`, those before it and `spare` more. The last entry always stays.
-- Returns the offset and the time of the first entry that is left, and whether nonces were removed.
local trim = function(log, nonces, first, floor, spare, oldest, most)
  -- The entries are read, because their nonces are removed with them; and one more, which is the first afterwards.
  local many = oldest > 0 and most or math.min(most, floor + spare - first)
  local page = redis.call('XRANGE', log, '-', '+', 'COUNT', many + 1)
  local offset_of = function(entry) return string.match(entry[1], '^%d+') end
  floor = tonumber(offset_of(page[1])) < floor and floor + spare or 0
  local names, offsets, since = {}, {}, 0
  for i, entry in ipairs(page) do
    local offset, values = offset_of(entry), entry[2]
    if i > most or tonumber(offset) >= floor and tonumber(values[4]) >= oldest then
      first, since = tonumber(offset), tonumber(values[4])
      if i > 1 then redis.call('XTRIM', log, 'MINID', entry[1]) end
      break
    end
    if values[8] ~= '' then
      names[#names + 1] = values[6] .. values[8]
      offsets[#names] = offset
    end
  end
  if #names == 0 then return first, since, false end
  -- The nonce of an entry past its age may belong to a later entry by now.
  local gone = {}
  for i, offset in ipairs(redis.call('HMGET', nonces, unpack(names))) do
    if offset == offsets[i] then gone[#gone + 1] = names[i] end
  end
  if #gone > 0 then redis.call('HDEL', nonces, unpack(gone)) end
  return first, since, #gone > 0
end

-- Trims a log that ends at `top` if it may be necessary. What the head says of the first entry may be outdated, or 0,
-- but never too late: so it tells when there is nothing to do.
local trim_as_needed = function(log, nonces, first, since, top, now, max_age, max_entries, most)
  local floor = max_entries > 0 and top + 1 - max_entries or 0
  local oldest = max_age > 0 and now - max_age or 0
  local old = since < oldest - math.min(max_age / 100, 60000)
  if first >= floor and not old then return first, since, false end
  local spare = math.min(15, math.floor(max_entries / 100))
  return trim(log, nonces, first, floor, spare, old and oldest or 0, most)
end
