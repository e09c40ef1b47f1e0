"""They are as before."""

from __future__ import annotations

from tests.accounts.queries import AVRO_TYPES, Balance, GetBalance

__all__ = ["AVRO_TYPES", "Balance", "GetBalance"]
