-- Appends entries to one or more topics in one step, with the result of as many commits one after the other. It covers
-- the common case only: nothing is appended to a topic where an expected field differs, a nonce is known, the log does
-- not exist, or an expiry has to be set; commit.lua is run instead. An error in one topic stops no other.
-- KEYS: for each topic: fields, log, nonces
-- ARGV: oldest age in ms (0: any), entries kept (0: all); then for each topic:
--       an epoch, in case a new one begins; channel, n, m, for each traced entry 'NUMBER:TRACEPARENT,';
--       n × (name, '1' or '0', value) expected; for each of m entries, all of them counted: event, author, payload,
--       '=' and nonce
-- Replies for each topic its epoch, the offset of its first new entry, and the time of all; or three times ''.
local max_age, max_entries = tonumber(ARGV[1]), tonumber(ARGV[2])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local append = function(fields, log, nonces, begin, expected, many)
  local entries = begin + 5 + expected * 3
  local asked, named, by, authors = {HEAD}, {}, {}, {}
  for i = 1, expected do asked[i + 1] = ARGV[begin + 2 + i * 3] end
  for i = 1, many do
    local author = ARGV[entries - 3 + i * 4]
    named[i] = author .. ARGV[entries - 1 + i * 4]
    if not by[author] then
      authors[#authors + 1] = author
      asked[#asked + 1] = BY .. author
    end
    by[author] = (by[author] or 0) + 1
  end
  asked[2 + expected + #authors] = TRIMMED
  local values = redis.call('HMGET', fields, unpack(asked))
  if not holds(expected, begin + 5, values, 2) then return end
  for _, known in ipairs(many > 1 and redis.call('HMGET', nonces, unpack(named)) or {}) do
    if known then return end
  end
  local top, at, last_counted, count, first, since, expires, nonced, epoch, server = open_log(fields, values[1], ARGV[begin])
  if not epoch or nonced == 0 or not is_fresh(expires, now, max_age) then return end
  -- A single nonce is looked up and written in one command.
  if many == 1 and redis.call('HSETNX', nonces, named[1], text(top + 1)) == 0 then return end

  at = math.max(now, at)
  local time, before = text(at), text(last_counted)
  local frames, offsets, traces = {}, {}, {}
  for number, trace in string.gmatch(ARGV[begin + 4], '(%d+):([^,]+),') do traces[tonumber(number)] = trace end
  for i = 1, many do
    local place = entries - 4 + i * 4
    local event, author, payload, nonce = ARGV[place], ARGV[place + 1], ARGV[place + 2], ARGV[place + 3]
    local offset = text(top + i)
    add(log, offset, event, time, author, nonce, '1', payload, epoch, before, text(count + i - 1))
    before = offset
    offsets[i * 2 - 1], offsets[i * 2] = named[i], offset
    frames[i] = frame_of(epoch, offset, time, author, event, payload, traces[i])
  end
  if many > 1 then redis.call('HSET', nonces, unpack(offsets)) end
  top, count = top + many, count + many
  local trimmed, _ = values[2 + expected + #authors]
  first, since, _, trimmed =
    trim_as_needed(log, nonces, first, since, top, count, trimmed, now, max_age, max_entries, 15 + many)
  local changed = {HEAD, struct.pack(HEAD_FORM, top, at, top, count, first, since, expires, nonced, epoch, server)}
  for i, author in ipairs(authors) do
    changed[i * 2 + 1], changed[i * 2 + 2] = BY .. author, text((values[1 + expected + i] or 0) + by[author])
  end
  if trimmed then changed[#changed + 1], changed[#changed + 2] = TRIMMED, trimmed end
  redis.call('HSET', fields, unpack(changed))
  local news = frames[1]
  if many > 1 then
    for i, frame in ipairs(frames) do frames[i] = #frame .. ':' .. frame end
    news = 'b' .. table.concat(frames)
  end
  redis.call('PUBLISH', ARGV[begin + 1], news)
  return epoch, offsets[2], time
end

local answer, begin = {}, 3
for i = 1, #KEYS, 3 do
  local expected, many = tonumber(ARGV[begin + 2]), tonumber(ARGV[begin + 3])
  local whole, epoch, offset, time = pcall(append, KEYS[i], KEYS[i + 1], KEYS[i + 2], begin, expected, many)
  if not whole then epoch, offset, time = nil, nil, nil end
  answer[i], answer[i + 1], answer[i + 2] = epoch or '', offset or '', time or ''
  begin = begin + 5 + expected * 3 + many * 4
end
return answer
