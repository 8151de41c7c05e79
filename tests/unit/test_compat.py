"""What stands in for names that old Pythons lack behaves as the real ones do."""

from __future__ import annotations

import pytest

from pennylane_threaded_ibmq import _compat
from pennylane_threaded_ibmq._compat import StrEnum, without_prefix, without_suffix, zip_strict


@pytest.mark.parametrize("strict", [zip_strict, _compat._zip_strict])
class TestZipStrict:
    def test_equal_lengths_are_paired(self, strict):
        assert list(strict([1, 2], "ab", iter((None, 0)))) == [(1, "a", None), (2, "b", 0)]
        assert list(strict()) == []

    @pytest.mark.parametrize(
        "columns", [([1], []), ([], [1]), ([1, 2], [1, 2, None]), (iter([1]), [1, None])]
    )
    def test_other_lengths_are_refused(self, strict, columns):
        with pytest.raises(ValueError):
            list(strict(*columns))


def test_members_of_an_enumeration_print_as_their_text():
    class Colour(StrEnum):
        RED = "red"

    assert (str(Colour.RED), f"{Colour.RED}", Colour.RED) == ("red", "red", "red")


@pytest.mark.parametrize("text", ["", "ab", "abab", "b", "xab", "abx"])
@pytest.mark.parametrize("part", ["", "ab", "b"])
def test_ends_are_cut_as_str_does(text, part):
    assert without_prefix(text, part) == text.removeprefix(part)
    assert without_suffix(text, part) == text.removesuffix(part)
