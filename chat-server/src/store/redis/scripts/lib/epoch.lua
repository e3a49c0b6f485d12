-- Library. The epoch of a log.
--
-- A Redis that was restarted, or promoted, may hold less than was acknowledged and delivered. Its
-- replication id tells: it changes with every start and every promotion. When it is not the id that
-- the head holds, the log begins a new epoch and keeps where the old one ended: everything up to
-- there is still valid. Asking for the id costs 2 µs of a commit's 20.
-- (A primary also takes a new id when its first replica connects: then the new epoch loses nothing.)
--
-- Example: the log held 1, 2, 3 in epoch A. Redis restarts and holds 1, 2. The next commit begins epoch B, notes
-- that A ended at 2, and stores B:3. A client that received A:3 learns that A ended at 2: its 3 is lost.
local EPOCHS_KEPT = 32

-- `master_replid` of INFO, 40 digits. A search by pattern would take as long as INFO itself. Asked for once a call.
local asked
local server_id = function()
  if asked then return asked end
  local info = redis.call('INFO', 'replication')
  local _, before = string.find(info, 'master_replid:', 1, true)
  asked = string.sub(info, before + 1, before + 40)
  return asked
end

-- Begins a new epoch if there has to be one. Returns the values of the head (in the order of keys.rs); nothing if
-- there is no such log.
local open_log = function(fields, head, next_epoch)
  if not head then return end
  local top, at, last_counted, counted, first, since, expires, nonced, epoch, server = struct.unpack(HEAD_FORM, head)
  if server_id() ~= server then
    local ended = (redis.call('HGET', fields, ENDED) or '') .. epoch .. ':' .. string.format('%d', top) .. ','
    local _, count = string.gsub(ended, ',', '')
    if count > EPOCHS_KEPT then ended = string.gsub(ended, '^[^,]*,', '') end
    epoch, server = next_epoch, server_id()
    head = struct.pack(HEAD_FORM, top, at, last_counted, counted, first, since, expires, nonced, epoch, server)
    redis.call('HSET', fields, ENDED, ended, HEAD, head)
  end
  return top, at, last_counted, counted, first, since, expires, nonced, epoch, server
end

-- Whether log and nonces that expire then expire late enough and not too late: one maximum age from now, and up to a
-- minute later, so that not every commit sets their expiry. Also returns when they should expire.
local is_fresh = function(expires, now, max_age)
  local least = max_age > 0 and now + max_age + 1000 or 0
  local most = least + math.min(max_age, 60000)
  return expires >= least and expires <= most, most
end
