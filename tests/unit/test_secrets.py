"""What counts as a secret among values, and what is shown in its place."""

import pytest

from pennylane_threaded_ibmq._secrets import COVER, ConfidentialDict, conceal, covered

NOTHING_SECRET = [
    None, 3, "text", "http://host:3128/a@b", "me@host", b"bytes", [], {}, {"urls": {"https": "http://proxy:3128"}},
    {"token": ""}, {"token": None}, {"max_tokens": 5}, ["a", ("b", 1)], {"a": [{"b": "c"}]}, {1: "x"},
]  # fmt: skip


@pytest.mark.parametrize("value", NOTHING_SECRET, ids=repr)
def test_what_has_no_secret_is_the_same_object(value):
    assert covered(value) is value
    assert conceal(value) is value


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("http://me:pass@host:1/x", f"http://{COVER}@host:1/x"),
        ("https://key@host", f"https://{COVER}@host"),
        ("no http://me:p@ss@host and ftp://u:p@h", f"no http://{COVER}@host and ftp://{COVER}@h"),
        ({"token": "t", "b": 1}, {"token": COVER, "b": 1}),
        ({"a": {"API_KEY": "t"}}, {"a": {"API_KEY": COVER}}),
        ({"a": [{"pasword": b"t"}, 2]}, {"a": [{"pasword": COVER}, 2]}),
        ({"tokens": ["t", "u"]}, {"tokens": COVER}),
        (
            {"credentials": {"user": "me", "password": "p"}},
            {"credentials": {"user": "me", "password": COVER}},
        ),
        (("http://u:p@h",), (f"http://{COVER}@h",)),
    ],
)
def test_secrets_are_covered_and_all_else_is_left(value, shown):
    before = repr(value)
    assert covered(value) == shown
    assert type(covered(value)) is type(value)
    assert repr(value) == before


def test_a_dictionary_with_a_secret_is_equal_and_does_not_show_it():
    given = {"urls": {"https": "http://me:pass@host"}, "verify": True}
    found = conceal(given)
    assert isinstance(found, ConfidentialDict)
    assert found == given
    assert repr(found) == str(found) == repr({"urls": {"https": f"http://{COVER}@host"}, "verify": True})
    # what is taken out of it does not, either
    assert "pass" not in repr(found["urls"])
    found["urls"] = {}
    assert repr(found) == repr({"urls": {}, "verify": True})
