"""What nginx's own check of candidate files says, and what is made of it."""

from __future__ import annotations

import pytest

from swiftdeploy_tasks.errors import PreflightError, ProxyError
from swiftdeploy_tasks.proxy.nginx_check import accepted_by, first_complaint

VERSION = "nginx version: nginx/1.27.4\n"
COMPLAINT = 'nginx: [emerg] unknown directive "serve" in /x/nginx.conf:3\n'


def test_the_version_and_the_program_that_accept_the_files_are_named() -> None:
    assert accepted_by(0, VERSION, "nginx:1.27") == "nginx 1.27.4 (nginx:1.27)"


def test_a_refusal_is_in_the_words_of_nginx() -> None:
    with pytest.raises(ProxyError, match=r"unknown directive .serve. in /x/nginx\.conf:3"):
        accepted_by(1, VERSION + COMPLAINT, "nginx:1.27")


@pytest.mark.parametrize("code", [0, 1])
def test_an_nginx_that_is_too_old_is_named_with_the_bound(code: int) -> None:
    with pytest.raises(PreflightError, match=r"nginx/1\.26\.3, and at least 1\.27\.4"):
        accepted_by(code, "nginx version: nginx/1.26.3\n" + COMPLAINT, "nginx:1.26")


def test_a_program_that_is_no_nginx_is_refused() -> None:
    with pytest.raises(PreflightError, match=r"does not say which nginx it is: .hello."):
        accepted_by(0, "hello", "busybox")


@pytest.mark.parametrize("said", ["", " \n"])
def test_a_silent_nginx_complains_of_nothing(said: str) -> None:
    assert first_complaint(said)
