-- Presence.
-- KEYS: nodes (node → when its heartbeat expires), online (users), cards ('USER NODE' → card),
--       by user ('USER NODE'), by node ('NODE USER')
-- ARGV: a verb and its arguments. In all sorted sets but the first the score is 0, so members are in
-- the order of their bytes; ids hold no space and nothing that sorts before '!', the character after it.
local nodes, online, cards, by_user, by_node = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local under = function(set, id, ...)
  return redis.call('ZRANGEBYLEX', set, '[' .. id .. ' ', '(' .. id .. '!', ...)
end

local is_alive = function(node)
  return tonumber(redis.call('ZSCORE', nodes, node) or 0) > now
end

local card = function(user)
  for _, member in ipairs(under(by_user, user)) do
    if is_alive(string.sub(member, #user + 2)) then return redis.call('HGET', cards, member) end
  end
end

-- The cards of many users: by asking each node that lives for each user, unless that is too much at once.
local cards_of = function(users)
  local alive = redis.call('ZRANGEBYSCORE', nodes, '(' .. string.format('%d', now), '+inf')
  local found = {}
  if #alive * #users > 2000 then
    for i, user in ipairs(users) do found[i] = card(user) or false end
    return found
  end
  if #alive == 0 or #users == 0 then return found end
  local names = {}
  for _, user in ipairs(users) do
    for _, node in ipairs(alive) do names[#names + 1] = user .. ' ' .. node end
  end
  local values = redis.call('HMGET', cards, unpack(names))
  for i = 1, #users do
    for j = 1, #alive do found[i] = found[i] or values[(i - 1) * #alive + j] end
  end
  return found
end

-- Whether this was the user's last entry.
local remove = function(node, user)
  local member = user .. ' ' .. node
  redis.call('HDEL', cards, member)
  redis.call('ZREM', by_user, member)
  redis.call('ZREM', by_node, node .. ' ' .. user)
  if #under(by_user, user, 'LIMIT', 0, 1) > 0 then return false end
  redis.call('ZREM', online, user)
  return true
end

local verb = ARGV[1]
if verb == 'beat' then
  -- node, its ttl in ms, '1' if users are connected to it. Replies 1 if what the node told of these is there.
  redis.call('ZADD', nodes, now + ARGV[3], ARGV[2])
  if ARGV[4] ~= '1' then return 1 end
  for _, key in ipairs({online, cards, by_user}) do
    if redis.call('PTTL', key) == -2 then return 0 end
  end
  return #under(by_node, ARGV[2], 'LIMIT', 0, 1)
elseif verb == 'set' then
  -- node, user, '1' or '0', card, the ttl in ms of a node that sent no heartbeat yet
  local node, user = ARGV[2], ARGV[3]
  -- A node that calls is alive. This comes first, so that a user who leaves the node is seen to leave.
  if not is_alive(node) then redis.call('ZADD', nodes, now + ARGV[6], node) end
  local was = card(user)
  if ARGV[4] == '1' then
    redis.call('HSET', cards, user .. ' ' .. node, ARGV[5])
    redis.call('ZADD', by_user, 0, user .. ' ' .. node)
    redis.call('ZADD', by_node, 0, node .. ' ' .. user)
    redis.call('ZADD', online, 0, user)
  else
    remove(node, user)
  end
  local is = card(user)
  if was and not is then
    -- The entries of dead nodes are removed here, so that 'reap' does not report the user again.
    for _, member in ipairs(under(by_user, user)) do remove(string.sub(member, #user + 2), user) end
  end
  return {was and 1 or 0, is and 1 or 0}
elseif verb == 'get' then
  local users, found = {}, {}
  for i = 2, #ARGV do users[i - 1] = ARGV[i] end
  local there = cards_of(users)
  for i = 1, #users do found[i] = there[i] and '1' .. there[i] or '0' end
  return found
elseif verb == 'list' then
  -- the lower bound as ZRANGEBYLEX takes it; limit
  local listed, from, limit = {}, ARGV[2], tonumber(ARGV[3])
  while #listed < limit * 2 do
    local page = redis.call('ZRANGEBYLEX', online, from, '+', 'LIMIT', 0, math.min(limit, 1000))
    if #page == 0 then break end
    local there = cards_of(page)
    for i, user in ipairs(page) do
      if #listed < limit * 2 and there[i] then
        listed[#listed + 1] = user
        listed[#listed + 1] = there[i]
      end
    end
    from = '(' .. page[#page]
  end
  return listed
elseif verb == 'count' then
  local count, asked = redis.call('ZCARD', online), {}
  -- Until they are reaped, users of dead nodes only are still in the set.
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', now)) do
    for _, member in ipairs(under(by_node, node)) do
      local user = string.sub(member, #node + 2)
      if not asked[user] and not card(user) then count = count - 1 end
      asked[user] = true
    end
  end
  return count
elseif verb == 'reap' then
  local gone, limit = {}, tonumber(ARGV[2])
  for _, node in ipairs(redis.call('ZRANGEBYSCORE', nodes, '-inf', now)) do
    while #gone < limit do
      local page = under(by_node, node, 'LIMIT', 0, math.min(limit - #gone, 1000))
      -- A user who is still listed under another node, even a dead one, is reported with that node.
      for _, member in ipairs(page) do
        local user = string.sub(member, #node + 2)
        if remove(node, user) then gone[#gone + 1] = user end
      end
      if #page == 0 then
        redis.call('ZREM', nodes, node)
        break
      end
    end
  end
  return gone
end
return {}
