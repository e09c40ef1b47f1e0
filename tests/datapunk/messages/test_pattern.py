import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datapunk.errors import InvalidPattern
from datapunk.messages.pattern import Pattern

STREAM, TYPE = "lake.dataset/weather", "lake.DatasetCreated"


@pytest.mark.parametrize(
    "pattern",
    [
        "#",
        "lake.#",
        "#.DatasetCreated",
        "lake.dataset.DatasetCreated",
        "lake.*.DatasetCreated",
        "*.*.*",
        "lake.#.dataset.#",
        "#.#.#.#",
    ],
)
def test_these_mean_the_event(pattern):
    assert Pattern(pattern).matches(STREAM, TYPE)


@pytest.mark.parametrize(
    "pattern", ["lake", "*", "*.*", "stream.#", "lake.dataset", "lake.partition.#", "*.*.*.*", "lake.*"]
)
def test_these_do_not(pattern):
    assert not Pattern(pattern).matches(STREAM, TYPE)


@pytest.mark.parametrize("pattern", ["", "lake..#", "lake.#x", "a b", "é", ".".join("a" * 17), "x" * 101, "lake.\n"])
def test_what_is_no_pattern_is_refused(pattern):
    with pytest.raises(InvalidPattern, match="is not a pattern"):
        Pattern(pattern)


def test_an_actor_id_may_hold_dots_and_slashes():
    assert Pattern("lake.dataset.*").matches("lake.dataset/a.b/c.d", TYPE)


def test_a_first_word_without_wildcards_is_the_module():
    assert Pattern("lake.#").module == "lake"
    assert Pattern("#").module is None
    assert Pattern("*.dataset.*").module is None


words = st.sampled_from(["lake", "dataset", "DatasetCreated", "other"])


@given(st.lists(words | st.sampled_from(["*", "#"]), min_size=1, max_size=8), words, words, words)
def test_it_means_what_a_regular_expression_of_the_same_meaning_does(pattern, module, kind, name):
    expression = "".join(r"(\.\w+)*" if word == "#" else r"\.\w+" if word == "*" else rf"\.{word}" for word in pattern)
    expected = re.fullmatch(expression, f".{module}.{kind}.{name}") is not None
    assert Pattern(".".join(pattern)).matches(f"{module}.{kind}/1", f"{module}.{name}") is expected


def test_many_wildcards_take_no_long_time():
    assert not Pattern(".".join("#" * 15 + "x")).matches(STREAM, TYPE)


@given(st.lists(words | st.sampled_from(["*", "#"]), min_size=1, max_size=5), words, words, words)
def test_a_type_may_be_meant_if_there_is_a_kind_of_actor_for_which_it_is(pattern, module, kind, name):
    wanted = Pattern(".".join(pattern))
    if wanted.matches(f"{module}.{kind}/1", f"{module}.{name}"):
        assert wanted.may_mean(f"{module}.{name}")


def test_a_type_of_another_module_or_name_is_not_meant():
    assert not Pattern("lake.#").may_mean("stream.Started")
    assert not Pattern("#.DatasetCreated").may_mean("lake.DatasetDeleted")
