import pytest

from holdfast.outbound import Blocked, check_url, is_private, is_public


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com",
        "https://api.example.com/a%2fb?x=1#y",
        "https://api.example.com:8443/",
        "https://API.Example.COM/",
        "HTTPS://api.example.com/",
        "https://xn--bcher-kva.example/",
        "https://under_score.example/",
        "https://8.8.8.8/",
        "https://[2606:4700:4700::1111]:443/",
        "https://api.example.com/@me",
        "https://api.example.com?email=a@b",
    ],
)
def test_an_ordinary_url_passes(url: str) -> None:
    check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "gopher://api.example.com/",
        "javascript:alert(1)",
        "//api.example.com/",
        "api.example.com",
        "https:/api.example.com",
        "https://",
        "https:///path",
        "https://user@api.example.com/",
        "https://user:pass@api.example.com/",
        "https://api.example.com@evil.example/",
        "https://@api.example.com/",
        "https://api.example.com\\@evil.example/",
        "https://api.example.com\\evil",
        "https://api.example.com/a b",
        "https://api.example.com/\r\nX-Evil: 1",
        "https://api.example.com/\x00",
        " https://api.example.com/",
        "https://api.example.com/\t",
        "https://bücher.example/",
        "https://api。example.com/",
        "https://①②⑦.0.0.1/",
        "https://%6cocalhost/",
        "https://api.example.com:22/",
        "https://api.example.com:25/",
        "https://api.example.com:80/",
        "https://api.example.com:0/",
        "https://api.example.com:65536/",
        "https://api.example.com:99999/",
        "https://api.example.com:/",
        "https://api.example.com:443:443/",
        "https://api.example.com:+443/",
        "https://api..example.com/",
        "https://-api.example.com/",
        "https://api.example.com./",
        "https://127.0.0.1./",
        "https://[::1%25eth0]/",
        "https://[fe80::1%eth0]/",
        "https://[::1/",
        "https://[v1.x]/",
        "https://" + "a" * 64 + ".example/",
        "https://" + "a." * 130 + "example/",
    ],
)
def test_a_url_that_is_not_plainly_https_to_a_host_is_refused(url: str) -> None:
    with pytest.raises(Blocked):
        check_url(url, allow_private=False)


@pytest.mark.parametrize(
    "host",
    [
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.1.0",
        "0",
        "0x",
        "8.8.8",
        "134744072",
        "256.1.1.1",
        "example.0x7f",
        "example.1",
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_host_that_some_parser_reads_as_an_address_is_refused_in_any_setting(host: str, allow_private: bool) -> None:
    with pytest.raises(Blocked):
        check_url(f"https://{host}/", allow_private=allow_private)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/",
        "https://127.0.0.1/",
        "http://10.1.2.3/",
        "https://192.168.0.9:8443/",
        "http://[::1]:9000/",
        "http://[fd12::1]/",
        "http://localhost:3000/",
        "https://8.8.8.8/",
    ],
)
def test_private_networks_may_be_opened_for_plain_http_too(url: str) -> None:
    check_url(url, allow_private=True)


@pytest.mark.parametrize(
    "url",
    [
        "http://8.8.8.8/",
        "http://[2606:4700:4700::1111]/",
        "https://169.254.169.254/",
        "http://169.254.169.254/",
        "http://0.0.0.0:8080/",
        "https://100.100.100.200/",
        "https://[fd00:ec2::254]/",
        "https://[fe80::1]/",
        "https://168.63.129.16/",
        "http://127.0.0.1:22/",
        "ftp://127.0.0.1/",
    ],
)
def test_opening_private_networks_opens_neither_metadata_services_nor_plain_http_to_the_world(
    url: str,
) -> None:
    with pytest.raises(Blocked):
        check_url(url, allow_private=True)


def test_a_refusal_tells_the_host_and_not_the_query() -> None:
    with pytest.raises(Blocked) as caught:
        check_url("https://10.0.0.1/x?token=canary-token", allow_private=False)
    assert "10.0.0.1" in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.0.0.1", "172.31.255.255", "192.168.1.1", "::1", "fc00::1", "fdff::1"])
def test_a_private_address_is_never_public(ip: str) -> None:
    assert is_private(ip)
    assert not is_public(ip)


@pytest.mark.parametrize(
    "ip", ["", "localhost", "127.1", "0x7f000001", "fe80::1%eth0", "2606:4700:4700::1111%1", "1.1.1.1 "]
)
def test_what_is_no_plain_address_is_neither(ip: str) -> None:
    assert not is_public(ip)
    assert not is_private(ip)
