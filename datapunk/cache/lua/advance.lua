-- KEYS: fed, then value and lease of each key touched, those that are updated first.
-- ARGV: epoch, from, to, life in ms, channel, what is published, life of a value in s, the values.
-- 1 if it was done; 0: the epoch is over.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local fed = redis.call('GET', KEYS[1]) or ''
if fed ~= ARGV[1] .. ' ' .. ARGV[2] or string.sub(fed, 1, #run) ~= run then
  return 0
end
local updated = #ARGV - 7
for number = 1, (#KEYS - 1) / 2 do
  redis.call('DEL', KEYS[2 * number + 1])
  if number <= updated then
    redis.call('SET', KEYS[2 * number], ARGV[1] .. ARGV[7 + number], 'EX', ARGV[7])
  else
    redis.call('DEL', KEYS[2 * number])
  end
end
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. ARGV[3], 'PX', ARGV[4])
redis.call('PUBLISH', ARGV[5], ARGV[1] .. ' ' .. ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[6])
return 1
