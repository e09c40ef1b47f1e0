"""The projection, and its query."""

from __future__ import annotations

from collections.abc import Sequence

from datapunk import Asked, Projection, Recorded, Rejected, Rows, answers, projects
from tests.accounts.events import Deposited
from tests.accounts.queries import Balance, GetBalance


class Balances(Projection):
    """One row an account."""

    module = "accounts"
    name = "balances"

    @projects(Deposited)
    async def deposited(self, rows: Rows, events: Sequence[Recorded[Deposited]]) -> None:
        """Add up, rather than copy the balance: an event applied twice would show."""
        async with rows.cursor() as cursor:
            await cursor.executemany(
                """
                insert into balances values (%s, %s, %s, 1)
                on conflict (tenant, account) do update
                set cents = balances.cents + excluded.cents, deposits = balances.deposits + 1
                """,
                [(recorded.tenant, recorded.actor, recorded.event.cents) for recorded in events],
            )


@answers(GetBalance, Balances)
async def get_balance(query: GetBalance, asked: Asked) -> Balance:
    """Of one account."""
    cursor = await asked.rows.execute(
        "select cents, deposits from accounts_balances.balances where tenant = %s and account = %s",
        (asked.tenant, query.account),
    )
    row = await cursor.fetchone()
    if row is None:
        raise Rejected("account_unknown", f"nothing was ever put into {query.account}")
    return Balance(cents=row[0], deposits=row[1])
