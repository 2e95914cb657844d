"""Which URLs of a tenant are safe to call, and to send a shopper to (W4, W5)."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.config import Mode
from shared.urls import UnsafeUrl, host_of, may_call, psp_url, return_url, webhook_url

PUBLIC: Final = "93.184.215.14"
LIVE: Final = Mode.PRODUCTION


def names(*addresses: str) -> Callable[..., list[Any]]:
    """A resolver that knows every name by these addresses, and a literal by itself."""

    def resolve(host: str, port: object, **_: object) -> list[Any]:
        try:
            socket.inet_pton(socket.AF_INET6 if ":" in host else socket.AF_INET, host)
        except OSError:
            return [(0, 0, 0, "", (address, 0)) for address in addresses]
        return [(0, 0, 0, "", (host, 0))]

    return resolve


DENIED: Final = (
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "10.1.2.3", "100.64.0.1", "169.254.169.254", "172.16.0.1",
    "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:93.184.215.14", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
    "2002:a9fe:a9fe::", "3fff::1", "4000::1",
)  # fmt: skip


@pytest.mark.parametrize("address", DENIED)
def test_no_address_but_one_of_the_public_internet_may_be_called(address: str) -> None:
    assert not may_call(address, LIVE)
    url = f"https://[{address}]/" if ":" in address else f"https://{address}/"
    for each in (url, "https://hooks.shop.example/"):
        with pytest.raises(UnsafeUrl):
            webhook_url(each, LIVE, names(address))


@pytest.mark.parametrize("address", [PUBLIC, "1.1.1.1", "172.15.0.1", "172.32.0.1", "2606:4700::1111", "2a00:1450::1"])
def test_a_public_address_may_be_called(address: str) -> None:
    assert may_call(address, LIVE)
    assert (
        webhook_url("https://hooks.shop.example/c2a?x=1", LIVE, names(address)) == "https://hooks.shop.example/c2a?x=1"
    )


def test_one_bad_address_among_good_ones_refuses_the_name() -> None:
    with pytest.raises(UnsafeUrl, match="not of the public internet"):
        webhook_url("https://hooks.shop.example/", LIVE, names(PUBLIC, "10.0.0.1"))


def test_a_name_without_an_address_is_refused() -> None:
    def nowhere(*_: object, **__: object) -> list[Any]:
        raise socket.gaierror

    for resolve in (nowhere, names()):
        with pytest.raises(UnsafeUrl):
            webhook_url("https://hooks.shop.example/", LIVE, resolve)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.1", "017700000001", "0177.0.0.1", "127.1", "127.0.1", "0", "1.2.3.4.",
        "127.0.0.1.", "00.0.0.0", "256.1.1.1", "1.2.3.4.5", "0x7f.0x0.0x0.0x1", "[::ffff:7f00:1%25lo]", "[::1%lo]",
        "[127.0.0.1]", "[v1.x]", "127%2e0%2e0%2e1", "%31%32%37.0.0.1", "①②⑦.0.0.1", "１２７.0.0.1", "127。0。0。1",
        "lo\u00adcalhost", "", ".", "a..b", "-a.example", "a_b.example", "x" * 64 + ".example", "a." * 127 + "example",
    ],
)  # fmt: skip
def test_odd_spellings_of_a_host_are_refused(host: str) -> None:
    with pytest.raises(UnsafeUrl):
        host_of(f"https://{host}/hook", LIVE)


TRICKS: Final = (
    "http://shop.example/", "ftp://shop.example/", "javascript:alert(1)", "//shop.example/", "shop.example/x", "",
    "https:shop.example", "https:///x", "https://shop.example@evil.example/", "https://user:secret@shop.example/",
    "https://shop.example\\@evil.example/", "https://shop.example/\\x", "https://shop.example/#frag", "https://a/#",
    "https://shop.example/ x", "https://shop.example/\nx", "https://shop.example/\x00", "\thttps://shop.example/",
    "https://shop.example:0/", "https://shop.example:/", "https://shop.example:99999/", "https://shop.example:x/",
    "https://[::1/", "https://]/", "https://shop.example/" + "x" * 2_048, "https://shöp.example/", "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_x", "https://shop.example/\u202e",
)  # fmt: skip


@pytest.mark.parametrize("url", TRICKS)
def test_tricks_in_a_url_are_refused_for_shoppers_and_events_alike_and_not_repeated(url: str) -> None:
    for judge in (return_url, lambda one, mode: webhook_url(one, mode, names(PUBLIC))):
        with pytest.raises(UnsafeUrl) as caught:
            judge(url, LIVE)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://shop.example/thanks?from=x", "https://xn--shp-sna.example:8443/a/b"])
def test_a_plain_url_is_kept_as_it_is(url: str) -> None:
    assert return_url(url, LIVE) == url


def test_development_may_call_this_machine_and_still_no_other_inside() -> None:
    assert webhook_url("http://127.0.0.1:9000/hook", Mode.DEVELOPMENT, names()) == "http://127.0.0.1:9000/hook"
    assert webhook_url("http://localhost/hook", Mode.DEVELOPMENT, names("::1")) == "http://localhost/hook"
    for address in ("10.0.0.1", "169.254.169.254", "::ffff:127.0.0.1", "fe80::1"):
        with pytest.raises(UnsafeUrl):
            webhook_url("http://hooks.example/", Mode.DEVELOPMENT, names(address))


@given(text=st.text(alphabet="https:/?#[]@\\%0x127.:aé\u3002 \n", max_size=40))
def test_any_text_is_judged_and_none_breaks_us(text: str) -> None:
    for url in (text, f"https://{text}"):
        try:
            webhook_url(url, LIVE, names("10.0.0.1"))
        except UnsafeUrl:
            continue
        raise AssertionError("a name that leads inside was let through")


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://psp.example?a=b", "query"),
        ("http://psp.example", "https"),
        ("https://10.0.0.1", "public internet"),
        ("https://user@psp.example", "user"),
    ],
)
def test_a_psp_is_called_where_a_webhook_may_go_and_paths_can_be_put_behind(url: str, reason: str) -> None:
    assert psp_url("https://psp.example/v1", LIVE, names(PUBLIC)) == "https://psp.example/v1"
    with pytest.raises(UnsafeUrl, match=reason):
        psp_url(url, LIVE, names(PUBLIC))
