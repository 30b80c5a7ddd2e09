-- Notes that a replica is alive and counts those that are.
-- KEYS[1]  a sorted set of replicas by when they were last seen
-- ARGV[1]  the replica; ARGV[2] milliseconds after which it is gone, 0 to leave
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local life = tonumber(ARGV[2])
if life > 0 then
  redis.call('ZADD', KEYS[1], string.format('%.0f', now + life), ARGV[1])
  redis.call('PEXPIRE', KEYS[1], string.format('%.0f', life * 2))
else
  redis.call('ZREM', KEYS[1], ARGV[1])
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
return {redis.call('ZCARD', KEYS[1])}
