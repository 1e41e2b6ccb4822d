"""D1 and D2 of the security bar: which URLs and addresses may be connected to."""

from __future__ import annotations

import ipaddress

import pytest

from gateway.http.guard import (
    GuardPolicy,
    RefusalReason,
    UrlRefused,
    check_address,
    check_url,
)

POLICY = GuardPolicy()


@pytest.mark.parametrize(
    "url",
    [
        "https://certificates.example/c.pem",
        "https://certificates.example:443/c.pem",
        "https://certificates.example:8443/a/b/c.pem",
        "https://certificates.example",
        "HTTPS://Certificates.Example/c.pem",
        "https://8.8.8.8/c.pem",
        "https://[2606:4700::1111]:8443/c.pem",
    ],
)
def test_plain_https_passes(url: str) -> None:
    assert check_url(url, POLICY).text == url


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://certificates.example/", RefusalReason.URL),
        ("https://certificates.example:22/", RefusalReason.PORT),
        ("https://certificates.example:65536/", RefusalReason.PORT),
        ("https://certificates.example:/", RefusalReason.URL),
        ("https://user@certificates.example/", RefusalReason.URL),
        ("https://user:pw@certificates.example/", RefusalReason.URL),
        ("https://certificates.example/?q", RefusalReason.URL),
        ("https://certificates.example/#f", RefusalReason.URL),
        ("https://certificates.example\\@127.0.0.1/", RefusalReason.URL),
        ("https://certificates.example/a\\b", RefusalReason.URL),
        ("https://bücher.example/", RefusalReason.URL),
        ("https://certificates.example\n/", RefusalReason.URL),
        ("https://certificates.example/\r\nHost: x", RefusalReason.URL),
        ("https://certificates..example/", RefusalReason.URL),
        ("https://0x7f000001/", RefusalReason.URL),
        ("https://2130706433/", RefusalReason.URL),
        ("https:///c.pem", RefusalReason.URL),
        ("https:certificates.example", RefusalReason.URL),
        ("file:///etc/passwd", RefusalReason.URL),
        ("data:text/plain,x", RefusalReason.URL),
        ("", RefusalReason.URL),
        ("https://certificates.example/" + "a" * 2048, RefusalReason.URL),
    ],
)
def test_everything_else_is_refused(url: str, reason: RefusalReason) -> None:
    with pytest.raises(UrlRefused) as caught:
        check_url(url, POLICY)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("address", "connected"),
    [
        ("8.8.8.8", "8.8.8.8"),
        ("::ffff:8.8.8.8", "8.8.8.8"),
        ("2606:4700:0::1111", "2606:4700::1111"),
        ("64:ff9b::808:808", "64:ff9b::808:808"),
    ],
)
def test_public_addresses_pass_in_one_spelling(address: str, connected: str) -> None:
    assert check_address(address, POLICY) == connected


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.255.254",
        "127.1",
        "0x7f000001",
        "2130706433",
        "0177.0.0.1",
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.0.1",
        "192.0.0.8",
        "192.0.2.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "192.88.99.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:808:808::1",
        "2001::1",
        "2001:0:4136:e378:8000:63bf:f5ff:fffe",
        "2001:db8::1",
        "3fff::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd12::1",
        "ff02::1",
        "100::1",
        "5f00::1",
        "",
        "localhost",
    ],
)
def test_special_purpose_and_disguised_addresses_are_refused(address: str) -> None:
    with pytest.raises(UrlRefused) as caught:
        check_address(address, POLICY)
    assert caught.value.reason is RefusalReason.ADDRESS


def test_networks_of_a_demonstration_are_allowed_but_nothing_disguised_as_them() -> None:
    policy = GuardPolicy(
        allow_networks=(
            ipaddress.ip_network("127.0.0.0/8"),
            ipaddress.ip_network("2002::/16"),
            ipaddress.ip_network("::1/128"),
        )
    )
    assert check_address("127.0.0.1", policy) == "127.0.0.1"
    assert check_address("::ffff:127.0.0.1", policy) == "127.0.0.1"
    assert check_address("::1", policy) == "::1"
    for address in ("10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1"):
        with pytest.raises(UrlRefused):
            check_address(address, policy)


def test_denied_networks_are_refused_although_public_or_allowed() -> None:
    policy = GuardPolicy(
        allow_networks=(ipaddress.ip_network("127.0.0.0/8"),),
        deny_networks=(ipaddress.ip_network("8.8.8.0/24"), ipaddress.ip_network("127.0.0.9/32")),
    )
    for address in ("8.8.8.8", "127.0.0.9", "::ffff:8.8.8.8", "64:ff9b::808:808"):
        with pytest.raises(UrlRefused):
            check_address(address, policy)
