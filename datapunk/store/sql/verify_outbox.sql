select 'position ' || position, 'it''s to be published for ' || outbox.module || ', and there is no event'
from outbox, unnest(outbox.positions) as unconfirmed (position)
where not exists (select from events where events.position = unconfirmed.position)
order by position
