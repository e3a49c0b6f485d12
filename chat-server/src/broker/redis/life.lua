-- The life of a log. Goes before the scripts that need it.
--
-- A Redis that was restarted, or took over from another, may hold less than was acknowledged and
-- heard. It tells itself from the one that wrote last by its replication id, which is new with
-- every start and every promotion. Then the log begins a new life, and keeps where the old one
-- ended: what was received before that is still true. To ask costs 3 µs of a commit's 28.
-- (A primary also takes a new id when its first replica comes: then the new life loses nothing.)
local LIVES_KEPT = 32

-- The replication id, 40 digits. To look for it with a pattern would take as long as INFO itself.
local server_id = function()
  local info = redis.call('INFO', 'replication')
  local _, before = string.find(info, 'master_replid:', 1, true)
  return string.sub(info, before + 1, before + 40)
end

-- Answers epoch, top, time of the last entry, where earlier lives ended ('EPOCH:OFFSET,' each,
-- oldest first), and what else the head holds, as it stands there; nothing if there is no such log.
local live = function(head, next_epoch)
  local known = redis.call('HMGET', head, 'epoch', 'top', 'at', 'server', 'ended', 'first', 'since', 'until', 'kinds',
    'said')
  local epoch, ended = known[1], known[5] or ''
  if not epoch then return end
  local server = server_id()
  if server ~= known[4] then
    ended = ended .. epoch .. ':' .. (known[2] or '0') .. ','
    local _, lives = string.gsub(ended, ',', '')
    if lives > LIVES_KEPT then ended = string.gsub(ended, '^[^,]*,', '') end
    epoch = next_epoch
    redis.call('HSET', head, 'epoch', epoch, 'server', server, 'ended', ended)
  end
  return epoch, tonumber(known[2] or 0), tonumber(known[3] or 0), ended, known[6], known[7], known[8], known[9], known[10]
end

local begin = function(head, epoch)
  redis.call('HSET', head, 'epoch', epoch, 'server', server_id())
end

-- Whether log and nonces live as long as they should, if they live until then: one age more than now, and up to
-- a minute, so that not every commit has to see to them. Answers also until when they should.
local is_fresh = function(lives, now, max_age)
  local least = max_age > 0 and now + max_age + 1000 or 0
  local most = least + math.min(max_age, 60000)
  lives = tonumber(lives or -1)
  return lives >= least and lives <= most, most
end
