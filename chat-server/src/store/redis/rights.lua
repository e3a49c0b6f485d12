-- What the user that runs this may not do of what a node needs: commands, and 'keys' or 'channels' where it is
-- none of them. Empty where Redis is too old to be asked (before 7.0).
-- ARGV: a key, a channel, '1' of a Redis Cluster, the command that waits until a write is safe, if any does
if not redis.acl_check_cmd then return {} end
local key, channel = ARGV[1], ARGV[2]
local missing
local check = function(commands)
  local refused = {}
  for _, command in ipairs(commands) do
    if not redis.acl_check_cmd(unpack(command)) then refused[#refused + 1] = command[1] end
  end
  return refused
end
local on_keys = {
  {'HGET', key, 'f'}, {'HMGET', key, 'f'}, {'HSET', key, 'f', 'v'}, {'HSETNX', key, 'f', 'v'}, {'HDEL', key, 'f'},
  {'HINCRBY', key, 'f', '1'},
  {'XADD', key, '1-0', 'f', 'v'}, {'XRANGE', key, '-', '+'}, {'XREVRANGE', key, '+', '-'},
  {'XTRIM', key, 'MINID', '0'}, {'ZADD', key, '0', 'm'}, {'ZREM', key, 'm'}, {'ZCARD', key}, {'ZSCORE', key, 'm'},
  {'ZLEXCOUNT', key, '-', '+'}, {'ZRANGEBYLEX', key, '-', '+'}, {'ZRANGEBYSCORE', key, '0', '1'}, {'DEL', key},
  {'PERSIST', key}, {'PTTL', key}, {'PEXPIRE', key, '1'}, {'PEXPIREAT', key, '1'},
}
local on_channels = ARGV[3] == '1' and {{'SPUBLISH', channel, ''}, {'SSUBSCRIBE', channel}}
  or {{'PUBLISH', channel, ''}, {'SUBSCRIBE', channel}}
local others = ARGV[3] == '1' and {{'PING'}, {'TIME'}, {'INFO'}, {'SUNSUBSCRIBE'}, {'ASKING'}}
  or {{'PING'}, {'TIME'}, {'INFO'}, {'UNSUBSCRIBE'}}
others[#others + 1] = ({WAIT = {'WAIT', '1', '0'}, WAITAOF = {'WAITAOF', '1', '0', '0'}})[ARGV[4]]

missing = check(others)
local refused = check(on_keys)
if #refused == #on_keys then refused = {'keys'} end
for _, command in ipairs(refused) do missing[#missing + 1] = command end
refused = check(on_channels)
if #refused == #on_channels then refused = {'channels'} end
for _, command in ipairs(refused) do missing[#missing + 1] = command end
return missing
