-- Reads of each log its epoch, where its earlier epochs ended, and the last offset.
-- KEYS: the fields of each. ARGV: for each an epoch, in case a new one begins
local heads = {}
for i, fields in ipairs(KEYS) do
  local known = redis.call('HMGET', fields, HEAD, ENDED)
  local top, _, _, _, _, _, _, _, epoch = open_log(fields, known[1], ARGV[i])
  local ended = epoch == ARGV[i] and redis.call('HGET', fields, ENDED) or known[2]
  heads[#heads + 1] = {epoch or '', ended or '', string.format('%d', top or 0)}
end
return heads
