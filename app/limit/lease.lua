-- Takes units for one or several requests that need the same cells, and leases
-- some beyond that. All cells, or none: what binds most decides how many of
-- the requests pass. Time is Redis' own, so the clocks of replicas do not matter.
--
-- KEYS     the cells, in one hash slot
-- ARGV[1]  units that each request takes (0: only lease or give back)
-- ARGV[2]  how many requests
-- ARGV[3]  microseconds for which leased units may be spent
-- ARGV[4]  with a lease, what is in hand is at most 1/ARGV[4] of what remains
-- then for each cell eight values:
--   ticks of one unit, ticks of a full cell, ticks that refill in a microsecond,
--   1 for dry-run, units wanted as a lease, units still in hand, units given
--   back, since when those were counted (this clock, microseconds)
--
-- A cell is kept as "unit used at": ticks in use at the time, for a unit of so
-- many ticks. Leased units count as if they were spent at the end of the
-- lease, so that no interval ever sees more than burst + rate * t: the cell
-- does not refill under units that are still out.
--
-- Answers the time, how many requests pass, and for each cell: ticks in use
-- before a lease is added, units leased, requests that a dry-run would refuse.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local n, pass = tonumber(ARGV[1]), tonumber(ARGV[2])
local life, share = tonumber(ARGV[3]), tonumber(ARGV[4])
local whole = pass
local cells = {}

for i, key in ipairs(KEYS) do
  local a = 4 + (i - 1) * 8
  local c = {unit = tonumber(ARGV[a + 1]), full = tonumber(ARGV[a + 2]), rate = tonumber(ARGV[a + 3]),
    dry = ARGV[a + 4] == '1', want = tonumber(ARGV[a + 5]), held = tonumber(ARGV[a + 6]), used = 0, at = now}
  local back, since = tonumber(ARGV[a + 7]), tonumber(ARGV[a + 8])
  local unit, used, at = string.match(redis.call('GET', key) or '', '^(%d+) (%d+) (%d+)$')
  if unit then
    unit, used, at = tonumber(unit), tonumber(used), tonumber(at)
    if unit ~= c.unit then
      used = math.ceil(used / unit * c.unit)
    end
    used = math.min(used, c.full)
    if now > at then
      used = math.max(used - math.floor((now - at) * c.rate), 0)
    elseif at - now < 1000000 then
      c.at = at -- the clock trembles
    else
      c.changed = true -- the clock was set back: count on from what it says now
    end
    if back > 0 then
      used = used - math.max(math.min(back * c.unit - math.ceil((now - since) * c.rate), used), 0)
      c.changed = true
    end
    c.used = used
  end
  if n > 0 then
    c.fits = math.max(math.floor((c.full - c.used) / (n * c.unit)), 0)
    if not c.dry then
      pass = math.min(pass, c.fits)
    end
  end
  cells[i] = c
end

local answer = {now, pass}
for i, key in ipairs(KEYS) do
  local c = cells[i]
  local taken = pass
  if n > 0 and c.dry then
    taken = math.min(pass, c.fits)
  end
  local used, lease = c.used + taken * n * c.unit, 0
  local level = used
  if c.want > 0 and pass == whole then
    local floor = math.max(used, math.ceil(life * c.rate))
    lease = math.min(c.want, math.floor((c.full - used) / c.unit / share) - c.held,
      math.floor((c.full - floor) / c.unit))
    if lease > 0 then
      level = floor + lease * c.unit
    else
      lease = 0
    end
  end
  if level ~= c.used or c.changed then
    redis.call('SET', key, string.format('%.0f %.0f %.0f', c.unit, level, c.at),
      'PX', string.format('%.0f', math.min(math.ceil(level / c.rate / 1000) + 1000, 1e12))) -- at most 31 years
  end
  answer[#answer + 1] = used
  answer[#answer + 1] = lease
  answer[#answer + 1] = pass - taken
end
return answer
