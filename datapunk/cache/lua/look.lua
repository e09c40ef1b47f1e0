-- KEYS: fed, value, lease. ARGV: a new lease, its life in ms, the least position. Why: see docs/explanation/cache.md.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local epoch, position = string.match(redis.call('GET', KEYS[1]) or '', '^(%S+) (%d+)$')
if not epoch or string.sub(epoch, 1, #run) ~= run or tonumber(position) < tonumber(ARGV[3]) then
  return {'behind'}
end
local value = redis.call('GET', KEYS[2])
if value and string.sub(value, 1, #epoch) == epoch then
  return {'found', epoch, string.sub(value, #epoch + 1)}
end
local lease = redis.call('GET', KEYS[3])
if lease and string.sub(lease, 1, #epoch) == epoch then
  return {'busy'}
end
redis.call('SET', KEYS[3], epoch .. ARGV[1], 'PX', ARGV[2])
return {'leased', epoch}
