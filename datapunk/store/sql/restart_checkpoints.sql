-- Of a store that was empty: whatever position a projection has reached in it, it has seen no event.
update checkpoints set position = 0 where position > 0
