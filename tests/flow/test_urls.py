"""Where the shim sends what it proves itself with, and whose keys it believes."""

from __future__ import annotations

import pytest

from shim.urls import is_safe


@pytest.mark.parametrize(
    ("url", "whole", "base"),
    [
        ("https://idp.test/keys", True, True),
        ("http://127.0.0.1:80/keys", True, True),
        ("http://[::1]/keys", True, True),
        ("http://localhost/keys", True, True),
        ("https://idp.test/keys?policy=p", True, False),
        ("https://idp.test/keys#k", True, False),
        ("http://localhost.evil.test/keys", False, False),
        ("http://127.0.0.1.evil.test/keys", False, False),
        ("http://127.0.0.1@evil.test/keys", False, False),
        ("https://user:pass@idp.test/keys", False, False),
        ("ftp://127.0.0.1/keys", False, False),
        ("https://", False, False),
    ],
)
def test_what_is_safe_to_ask(url: str, *, whole: bool, base: bool) -> None:
    assert (is_safe(url, whole=True), is_safe(url)) == (whole, base)
