-- Appends many entries in one step, as so many commits would, one after the other. Only where all is as it
-- mostly is: where something that is expected is not so, a nonce is known, or the life of a key has to be
-- seen to, nothing is appended, and the answer is empty.
-- KEYS: fields, head, log, nonces, counts
-- ARGV: epoch of a new life, channel, oldest age in ms (0: any), entries kept (0: all),
--       n, then n × (name, '1' or '0', value) expected; then for each entry, all of them counted:
--       event, author, payload, '=' and nonce; and if any are followed, a text of 'NUMBER:TRACEPARENT,' each
local fields, head, log, nonces, counts = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local max_age, max_entries, expected = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local entries_at = 6 + expected * 3
local count = math.floor((#ARGV - entries_at + 1) / 4)
if not holds(fields, 6, expected) then return {} end
local names = {}
for i = 1, count do names[i] = ARGV[entries_at - 3 + i * 4] .. ARGV[entries_at - 1 + i * 4] end
for _, known in ipairs(redis.call('HMGET', nonces, unpack(names))) do
  if known then return {} end
end

local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local epoch, top, last, _, first, since, lives, kinds, said = live(head, ARGV[1])
if not epoch or tonumber(kinds or 0) ~= 3 or not is_fresh(lives, now, max_age) then return {} end

local text = function(number) return string.format('%.0f', number) end
local time = text(math.max(now, last))
local frames, named, by, traces = {}, {}, {}, {}
for number, trace in string.gmatch(ARGV[entries_at + count * 4] or '', '(%d+):([^,]+),') do
  traces[tonumber(number)] = trace
end
said = said or text(top)
for i = 1, count do
  local at = entries_at - 4 + i * 4
  local event, author, payload, nonce = ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local offset = text(top + i)
  add(log, offset, event, time, author, nonce, '1', payload, epoch, said)
  said = offset
  named[i * 2 - 1], named[i * 2] = names[i], offset
  by[author] = (by[author] or 0) + 1
  local frame = frame_of(epoch, offset, time, author, event, payload, traces[i])
  frames[i] = #frame .. ':' .. frame
end
redis.call('HSET', head, 'top', said, 'at', time, 'said', said)
redis.call('HSET', nonces, unpack(named))
redis.call('HINCRBY', counts, 'n', text(count))
for author, times in pairs(by) do redis.call('HINCRBY', counts, 'a:' .. author, text(times)) end
trim_as_needed(head, log, nonces, first, since, top + count, now, max_age, max_entries, 15 + count)
redis.call('PUBLISH', ARGV[2], 'b' .. table.concat(frames))
return {epoch, text(top + 1), time}
