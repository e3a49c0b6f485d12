-- Counts the counted entries of others after a user's mark. KEYS: fields. ARGV: user
local known = redis.call('HMGET', KEYS[1], HEAD, BY .. ARGV[1], MARK .. ARGV[1])
local seen = string.match(known[3] or '', ':(%d+)$')
if not seen then return 0 end
local _, _, _, counted = struct.unpack(HEAD_FORM, known[1])
return counted - tonumber(known[2] or 0) - tonumber(seen)
