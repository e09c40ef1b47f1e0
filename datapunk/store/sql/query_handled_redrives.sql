-- Each looked up for itself: a join might be planned as a scan of the inbox.
select open.original, open.attempt, inbox.body_hash = open.command_digest, inbox.reply
from (select * from redrives where not is_settled order by published_at) open
cross join lateral (
    select * from inbox where inbox.id = open.message_id and inbox.tenant = open.tenant limit 1
) inbox
limit %(limit)s
