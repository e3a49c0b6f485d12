-- The epoch and the last offset of a log. KEYS: fields
local head = redis.call('HGET', KEYS[1], HEAD)
if not head then return {'', '0'} end
local top, _, _, _, _, _, _, _, epoch = struct.unpack(HEAD_FORM, head)
return {epoch, string.format('%d', top)}
