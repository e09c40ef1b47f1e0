-- KEYS: fed. ARGV: nonce, position, life in ms, channel. Begins an epoch, in which nothing of earlier ones counts.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
local epoch = run .. '-' .. ARGV[1]
redis.call('SET', KEYS[1], epoch .. ' ' .. ARGV[2], 'PX', ARGV[3])
redis.call('PUBLISH', ARGV[4], epoch .. ' 0 ' .. ARGV[2] .. ' {}')
return epoch
