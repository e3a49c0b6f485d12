-- Library. Retention: removes the oldest entries of a log.
--
-- A log keeps at most `max_entries` counted entries; and of the others those among its newest `max_entries` entries. So
-- the others take no counted entry's place, and still the log has an end: twice `max_entries`.
--
-- To look at the beginning of a log costs as much as five entries do, so several are removed together. Each new entry
-- removes at most 16: the log shrinks, and no commit takes long.
local offset_of = function(entry) return string.match(entry[1], '^%d+') end

-- Notes the nonce of an entry that is removed, if it has one.
local note_nonce = function(names, offsets, entry)
  local values = entry[2]
  if values[8] ~= '' then
    names[#names + 1] = values[6] .. values[8]
    offsets[#names] = offset_of(entry)
  end
end

-- Removes nonces that were noted. Returns whether there were any.
local drop_nonces = function(nonces, names, offsets)
  if #names == 0 then return false end
  local gone = {}
  -- The nonce of an entry past its age may belong to a later entry by now.
  for i, offset in ipairs(redis.call('HMGET', nonces, unpack(names))) do
    if offset == offsets[i] then gone[#gone + 1] = names[i] end
  end
  if #gone > 0 then redis.call('HDEL', nonces, unpack(gone)) end
  return #gone > 0
end

-- Removes entries from the beginning of a log, `most` at most: those that are older than `oldest`; and, if there are
-- more than `max_entries` counted ones, those that are too many and `spare` more. The last entry always stays. `count`
-- is the number of counted entries that there ever were, `before` of those before the first entry, if that is known.
-- Returns the offset and the time of the first entry that is left, `before` of it, and whether nonces were removed.
local trim_front = function(log, nonces, top, count, before, max_entries, spare, oldest, most)
  -- One more than may be removed: the first one afterwards.
  local many = oldest > 0 and most or math.min(most, count - (before or 0) - max_entries + spare)
  local page = redis.call('XRANGE', log, '-', '+', 'COUNT', many + 1)
  -- Entries of versions that did not count those before them: as if all after the first one counted.
  before = tonumber(page[1][2][18]) or before or count - (top + 1 - offset_of(page[1]))
  local least = max_entries > 0 and count - before > max_entries and count - max_entries + spare
    or -math.huge
  local names, offsets, first, since = {}, {}
  for i, entry in ipairs(page) do
    local values = entry[2]
    if i > most or i == #page or before >= least and (oldest == 0 or tonumber(values[4]) >= oldest) then
      first, since = tonumber(offset_of(entry)), tonumber(values[4])
      if i > 1 then redis.call('XTRIM', log, 'MINID', entry[1]) end
      break
    end
    if values[10] == '1' then before = before + 1 end
    note_nonce(names, offsets, entry)
  end
  return first, since, before, drop_nonces(nonces, names, offsets)
end

-- Removes the entries that are not counted from `thinned` on and before `floor`; looks at `most` at most. Returns up to
-- where it came, and whether nonces were removed.
local thin = function(log, nonces, thinned, floor, most)
  local page =
    redis.call('XRANGE', log, string.format('%d-0', thinned), string.format('%d-0', floor - 1), 'COUNT', most)
  local names, offsets, ids = {}, {}, {}
  for _, entry in ipairs(page) do
    if entry[2][10] ~= '1' then
      ids[#ids + 1] = entry[1]
      note_nonce(names, offsets, entry)
    end
  end
  if #ids > 0 then redis.call('XDEL', log, unpack(ids)) end
  if #page == most then floor = offset_of(page[most]) + 1 end
  return floor, drop_nonces(nonces, names, offsets)
end

-- Trims a log that ends at `top` if it may be necessary. What head and `trimmed` say may be outdated, or 0, but never
-- too late: so they tell when there is nothing to do. Returns the offset and the time of the first entry, whether
-- nonces were removed, and what the field TRIMMED is to be, if it changes.
local trim_as_needed = function(log, nonces, first, since, top, count, trimmed, now, max_age, max_entries, most)
  local floor = max_entries > 0 and top + 1 - max_entries or 0
  local oldest = max_age > 0 and now - max_age or 0
  local old = since < oldest - math.min(max_age / 100, 60000)
  if first >= floor and not old then return first, since, false end
  local thinned, before = 0
  if trimmed then thinned, before = struct.unpack(TRIMMED_FORM, trimmed) end
  local spare = math.min(15, math.floor(max_entries / 100))
  local many = max_entries > 0 and count - (before or 0) > max_entries
  local went, more = false, false
  if old or many then
    first, since, before, went = trim_front(
      log, nonces, top, count, before, max_entries, many and spare or 0, old and oldest or 0, most)
  end
  thinned = math.max(thinned, first)
  local thins = thinned + spare < floor
  if thins then
    thinned, more = thin(log, nonces, thinned, floor, most)
  end
  if not (old or many or thins) then return first, since, false end
  return first, since, went or more, struct.pack(TRIMMED_FORM, thinned, before or 0)
end
