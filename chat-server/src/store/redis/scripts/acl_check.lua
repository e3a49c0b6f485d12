-- Which permissions the user that runs this lacks: commands; 'keys' or 'channels' if it may use none of these. Empty
-- before Redis 7.0, which has no such check.
-- ARGV: a key, a channel, '1' for a Redis Cluster, the command that waits until a write is durable, if there is one
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
  {'HGET', key, 'f'}, {'HMGET', key, 'f'}, {'HGETALL', key}, {'HSET', key, 'f', 'v'}, {'HSETNX', key, 'f', 'v'},
  {'HDEL', key, 'f'}, {'HINCRBY', key, 'f', '1'}, {'HSCAN', key, '0'},
  {'XADD', key, '1-0', 'f', 'v'}, {'XRANGE', key, '-', '+'}, {'XREVRANGE', key, '+', '-'},
  {'XTRIM', key, 'MINID', '0'}, {'XDEL', key, '1-0'},
  {'ZADD', key, '0', 'm'}, {'ZREM', key, 'm'}, {'ZCARD', key}, {'ZSCORE', key, 'm'},
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
