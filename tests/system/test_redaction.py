"""What an app printed is kept without its secrets, however it wrote them."""

from __future__ import annotations

import base64
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swiftdeploy_tasks.system.redaction import MASK, masked

KEY = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nabc\n-----END KEY-----"


@pytest.mark.parametrize("write", [str, json.dumps, repr, quote], ids=["plain", "JSON", "Python", "URL"])
@given(secret=st.text(min_size=6).filter(lambda text: len(text.strip()) >= 6))
def test_a_secret_is_masked_in_every_writing(write: object, secret: str) -> None:
    assert callable(write)
    line = f"cannot log in with {write(secret)} at db"
    kept = masked(line, ["other", secret])
    assert kept.startswith("cannot log in with ")
    assert MASK in kept
    assert str(write(secret)).strip("'\"") not in kept.replace(MASK, "")


def test_a_secret_of_several_lines_is_masked_line_by_line() -> None:
    kept = [
        masked(line, [KEY]) for line in ("key: -----BEGIN KEY-----", "MIIEvQIBADANBgkqhkiG9w0B", "an abc")
    ]
    assert kept == [f"key: {MASK}", MASK, "an abc"]


def test_a_secret_of_several_lines_leaves_none_of_its_short_lines_where_it_is_whole() -> None:
    assert masked(f"key:\n{KEY}\nan abc", [KEY]) == f"key:\n{MASK}\nan abc"
    assert masked(KEY, [KEY.replace("\n", "\r\n") + "\r\n"]) == MASK


def test_a_line_of_six_signs_is_masked_by_itself_and_one_of_five_is_not() -> None:
    assert [masked(line, ["abcdef\nabcde\nuvwxyz123"]) for line in ("abcdef", "abcde")] == [MASK, "abcde"]


@pytest.mark.parametrize("secret", ["a", "4711", "12345", " 12345\n", "a\nb\nc", ""])
def test_a_short_secret_is_not_masked_as_a_mask_would_reveal_it(secret: str) -> None:
    assert masked("a banana for 4711 or 12345", [secret]) == "a banana for 4711 or 12345"


@given(secret=st.text(min_size=6).filter(lambda text: len(text.strip()) >= 6), before=st.binary(max_size=4))
def test_a_secret_within_a_text_in_base64_is_masked(secret: str, before: bytes) -> None:
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        told = encode(before + secret.strip().encode() + b":tail").decode()
        kept = masked(f"Authorization: Basic {told} sent", [secret])
        assert MASK in kept
        assert kept.startswith("Authorization: Basic ") and kept.endswith(" sent")
        assert len(kept) - len(MASK) - 27 < len(told) - 6


@pytest.mark.parametrize(
    "line",
    [
        r'{"url": "postgres://u:p\u0026\u003c\u003e@db/x"}',
        r'{"url": "postgres:\/\/u:p&<>@db\/x"}',
        json.dumps(json.dumps("postgres://u:p&<>@db/x")),
        "postgres%3A%2F%2Fu%3Ap%26%3C%3E%40db%2Fx",
    ],
)
def test_a_secret_is_masked_however_json_and_urls_escape_it(line: str) -> None:
    kept = masked(line, ["postgres://u:p&<>@db/x\n"])
    assert MASK in kept and "postgres" not in kept


def test_the_mask_itself_holds_no_secret_to_be_masked_again() -> None:
    assert masked("the secret is secret", ["secret"]) == f"the {MASK} is {MASK}"
    assert masked("abcdefghijkl", ["abcdef", "efghijkl"]) == MASK


def test_a_secret_within_a_longer_one_leaves_nothing_of_it() -> None:
    assert masked("with hunter2-and-more", ["hunter2", "hunter2-and-more"]) == f"with {MASK}"


def test_without_secrets_the_text_stays() -> None:
    assert masked("nothing to hide", ["", "absent"]) == "nothing to hide"
