-- KEYS: lease. ARGV: epoch, lease. Gives a lease back, if it's still there.
if redis.call('GET', KEYS[1]) == ARGV[1] .. ARGV[2] then
  redis.call('DEL', KEYS[1])
end
