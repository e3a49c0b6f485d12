-- The head of a log, and its life. Goes before the scripts that need it.
--
-- A Redis that was restarted, or took over from another, may hold less than was acknowledged and
-- heard. It tells itself from the one that wrote last by its replication id, which is new with
-- every start and every promotion. Then the log begins a new life, and keeps where the old one
-- ended: what was received before that is still true. To ask costs 2 µs of a commit's 20.
-- (A primary also takes a new id when its first replica comes: then the new life loses nothing.)
local LIVES_KEPT = 32

-- What `master_replid` of INFO says, 40 digits. To look for it with a pattern would take as long as INFO itself.
-- It is asked once a call.
local asked
local server_id = function()
  if asked then return asked end
  local info = redis.call('INFO', 'replication')
  local _, before = string.find(info, 'master_replid:', 1, true)
  asked = string.sub(info, before + 1, before + 40)
  return asked
end

-- Answers what the head holds (keys.rs has the order), as it is from now on; nothing if there is no such log.
local live = function(fields, head, next_epoch)
  if not head then return end
  local top, at, said, counted, first, since, lives, nonced, epoch, server = struct.unpack(HEAD_FORM, head)
  if server_id() ~= server then
    local ended = (redis.call('HGET', fields, ENDED) or '') .. epoch .. ':' .. string.format('%d', top) .. ','
    local _, count = string.gsub(ended, ',', '')
    if count > LIVES_KEPT then ended = string.gsub(ended, '^[^,]*,', '') end
    epoch, server = next_epoch, server_id()
    head = struct.pack(HEAD_FORM, top, at, said, counted, first, since, lives, nonced, epoch, server)
    redis.call('HSET', fields, ENDED, ended, HEAD, head)
  end
  return top, at, said, counted, first, since, lives, nonced, epoch, server
end

-- Whether log and nonces live as long as they should, if they live until then: one age more than now, and up to
-- a minute, so that not every commit has to see to them. Answers also until when they should.
local is_fresh = function(lives, now, max_age)
  local least = max_age > 0 and now + max_age + 1000 or 0
  local most = least + math.min(max_age, 60000)
  return lives >= least and lives <= most, most
end
