-- KEYS: fed, value, lease. ARGV: epoch, lease, life in s, the value. 1 if it was kept; 0: the lease was taken away.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local fed = redis.call('GET', KEYS[1]) or ''
if string.sub(fed, 1, #ARGV[1]) ~= ARGV[1] or string.sub(fed, 1, #run) ~= run then
  return 0
end
if redis.call('GET', KEYS[3]) ~= ARGV[1] .. ARGV[2] then
  return 0
end
redis.call('DEL', KEYS[3])
redis.call('SET', KEYS[2], ARGV[1] .. ARGV[4], 'EX', ARGV[3])
return 1
