"""What an app printed is kept without its secrets, however it wrote them."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftdeploy_tasks.masking import MASK, masked

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nabc\n-----END KEY-----"


@pytest.mark.parametrize("write", [str, json.dumps, repr, quote], ids=["plain", "JSON", "Python", "URL"])
@given(secret=st.text(min_size=6))
def test_a_secret_is_masked_in_every_writing(write: object, secret: str) -> None:
    assert callable(write)
    line = f"cannot log in with {write(secret)} at db"
    kept = masked(line, ["other", secret])
    assert kept.startswith("cannot log in with ")
    assert MASK in kept
    assert str(write(secret)).strip("'\"") not in kept


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    kept = [
        masked(line, [KEY]) for line in ("key: -----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG9w0B", "an abc")
    ]
    assert kept == [f"key: {MASK}", MASK, "an abc"]


def test_a_secret_within_a_longer_one_leaves_nothing_of_it() -> None:
    assert masked("with hunter2-and-more", ["hunter2", "hunter2-and-more"]) == f"with {MASK}"


def test_without_secrets_the_text_stays() -> None:
    assert masked("nothing to hide", ["", "absent"]) == "nothing to hide"
