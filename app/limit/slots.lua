-- Sets how many slots of a cap a replica holds.
-- KEYS[1]  the slots: a hash of replica to "count number expiry"
-- ARGV[1]  the replica            ARGV[2]  number of the call, growing
-- ARGV[3]  slots in use there, which cannot be taken away
-- ARGV[4]  slots needed           ARGV[5]  1 to add a reserve
-- ARGV[6]  the cap
-- ARGV[7]  milliseconds after which they are free if not renewed
-- Answers how many the replica holds now (-1 when a later call came before),
-- and its part of the reserve: a sixteenth of the cap, which the replicas that
-- hold slots share.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local me, number, used = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local need, cap = tonumber(ARGV[4]), tonumber(ARGV[6])
local held, others, sharers = 0, 0, 1
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local count, was, expiry = string.match(all[i + 1], '^(%d+) (%d+) (%d+)$')
  if not count then
    redis.call('HDEL', KEYS[1], all[i])
  elseif all[i] == me then
    if tonumber(was) > number then return {-1, 0} end
    held = tonumber(count)
  elseif tonumber(expiry) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    others = others + tonumber(count)
    sharers = sharers + 1
  end
end
local free = cap - others
local grant = math.min(need, free)
local reserve = math.floor(cap / 16 / sharers)
if grant == need and ARGV[5] == '1' then
  grant = grant + math.max(math.min(reserve, math.floor((free - need) / 2)), 0)
end
grant = math.max(grant, used, 0)
if grant > 0 or held > 0 then
  redis.call('HSET', KEYS[1], me, string.format('%.0f %.0f %.0f', grant, number, now + tonumber(ARGV[7])))
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', 2 * tonumber(ARGV[7])))
end
return {grant, reserve}
