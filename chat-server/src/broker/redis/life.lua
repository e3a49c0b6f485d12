-- The life of a log. Goes before the scripts that need it.
--
-- A Redis that was restarted, or took over from another, may hold less than was acknowledged and
-- heard. It tells itself from the one that wrote last by its replication id, which is new with
-- every start and every promotion. Then the log begins a new life, and keeps where the old one
-- ended: what was received before that is still true. To ask costs less than half a microsecond.
-- (A primary also takes a new id when its first replica comes: then the new life loses nothing.)
local LIVES_KEPT = 32

-- Answers epoch, top, time of the last entry, and where earlier lives ended ('EPOCH:OFFSET,' each,
-- oldest first); nothing if there is no such log.
local live = function(head, next_epoch)
  local known = redis.call('HMGET', head, 'epoch', 'top', 'at', 'server', 'ended')
  local epoch, ended = known[1], known[5] or ''
  if not epoch then return end
  local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  if server ~= known[4] then
    ended = ended .. epoch .. ':' .. (known[2] or '0') .. ','
    local _, lives = string.gsub(ended, ',', '')
    if lives > LIVES_KEPT then ended = string.gsub(ended, '^[^,]*,', '') end
    epoch = next_epoch
    redis.call('HSET', head, 'epoch', epoch, 'server', server, 'ended', ended)
  end
  return epoch, tonumber(known[2] or 0), tonumber(known[3] or 0), ended
end

local begin = function(head, epoch)
  local server = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  redis.call('HSET', head, 'epoch', epoch, 'server', server)
end
