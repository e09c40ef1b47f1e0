select lock_positions()
