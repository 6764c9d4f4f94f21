"""Addresses of contacts: which are an example's."""

from __future__ import annotations

import pytest

from metering.contacts import is_example


@pytest.mark.parametrize(
    ("address", "example"),
    [
        ("li@example.org", True),
        ("li@Mail.EXAMPLE.com", True),
        ("https://example.net/hook", True),
        ("https://hooks.example.org:8443?x=1", True),
        ("https://hooks.example.org.", True),
        ("li@myexample.org", False),
        ("li@example.org.cn", False),
        ("li@x.example", False),
        ("example.org@corp.cn", False),
        ("https://corp.cn/example.org/", False),
        ("https://corp.cn/li@example.org", False),
        ("centre", False),
    ],
)
def test_domains_for_examples_are_told_from_others(address: str, example: bool) -> None:
    assert is_example(address) == example
