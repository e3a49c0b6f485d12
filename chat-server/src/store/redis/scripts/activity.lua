-- Usage analytics, by hour and day in UTC.
-- KEYS: the prefix of all its keys
-- ARGV: 'add', node, sockets, for how long these count (ms), messages, number of users, users, rooms
--       'get', hours, days
-- BASE:h:HOUR is a hash (messages, peak), BASE:r:HOUR and BASE:d:DAY are HyperLogLogs of rooms and of users, BASE:n is
-- a hash of NODE → SOCKETS:UNTIL.
local base = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local hour, day = math.floor(now / 3600000), math.floor(now / 86400000)
local HOURS, DAYS = 15 * 86400000, 42 * 86400000

if ARGV[1] == 'add' then
  local node, sockets, life, messages, users = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5]), tonumber(ARGV[6])
  local counts = base .. ':h:' .. hour
  if messages > 0 then redis.call('HINCRBY', counts, 'messages', messages) end
  local add = function(key, from, to, life)
    -- unpack() is limited by the Lua stack.
    for first = from, to, 1000 do
      redis.call('PFADD', key, unpack(ARGV, first, math.min(first + 999, to)))
    end
    if to >= from then redis.call('PEXPIRE', key, life) end
  end
  add(base .. ':d:' .. day, 7, 6 + users, DAYS)
  add(base .. ':r:' .. hour, 7 + users, #ARGV, HOURS)
  redis.call('HSET', base .. ':n', node, sockets .. ':' .. now + life)
  local all, sum = redis.call('HGETALL', base .. ':n'), 0
  for at = 1, #all, 2 do
    local has, till = string.match(all[at + 1], '^(%d+):(%d+)$')
    if till and tonumber(till) > now then
      sum = sum + has
    else
      redis.call('HDEL', base .. ':n', all[at])
    end
  end
  redis.call('PEXPIRE', base .. ':n', DAYS)
  if sum > tonumber(redis.call('HGET', counts, 'peak') or 0) then redis.call('HSET', counts, 'peak', sum) end
  redis.call('PEXPIRE', counts, HOURS)
  return {}
end

local answer = { string.format('%.0f', now) }
for at = hour - ARGV[2] + 1, hour do
  local counts = redis.call('HMGET', base .. ':h:' .. at, 'messages', 'peak')
  local rooms = redis.call('PFCOUNT', base .. ':r:' .. at)
  answer[#answer + 1] = (counts[1] or '0') .. ',' .. (counts[2] or '0') .. ',' .. rooms
end
for at = day - ARGV[3] + 1, day do
  local week = {}
  for before = 0, 6 do week[#week + 1] = base .. ':d:' .. at - before end
  answer[#answer + 1] = redis.call('PFCOUNT', week[1]) .. ',' .. redis.call('PFCOUNT', unpack(week))
end
return answer
