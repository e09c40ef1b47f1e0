"""The models hold in every state, and each known bug put back breaks the promise it should."""

from __future__ import annotations

import pytest

from specs.check import VARIANTS, Variant, check


@pytest.mark.parametrize("variant", VARIANTS, ids=str)
def test_a_model_holds_and_a_bug_put_back_is_found(variant: Variant) -> None:
    assert check(variant).breaks == variant.breaks
