"""A domain so small that a reader holds it in mind: accounts, deposits, balances."""
