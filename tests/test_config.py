from pathlib import Path

import pytest

from holdfast.config import load
from holdfast.errors import Misconfigured


def test_every_kind_of_setting_can_be_given_as_a_variable() -> None:
    config = load(
        {
            "HOLDFAST_PORT": "9000",
            "HOLDFAST_DEV": "yes",
            "HOLDFAST_OUTBOUND_TIMEOUT": "2.5",
            "HOLDFAST_KEY_FILE": "keys/one",
            "HOLDFAST_DATA_DIR": "data",
            "HOLDFAST_APP_NAME": "Acme",
            "HOLDFAST_PROVIDER_ORIGINS": "https://a.example=http://127.0.0.1:1,https://b.example=http://127.0.0.1:2",
        }
    )
    assert (config.port, config.dev, config.outbound_timeout) == (9000, True, 2.5)
    assert (config.key_path(), config.data_dir, config.app_name) == (Path("keys/one"), Path("data"), "Acme")
    assert config.provider_origins == {
        "https://a.example": "http://127.0.0.1:1",
        "https://b.example": "http://127.0.0.1:2",
    }


@pytest.mark.parametrize(
    ("name", "text"), [("PORT", "many"), ("REQUESTS_PER_MINUTE", "-1"), ("DEV", "perhaps"), ("LEASE_SECONDS", "39")]
)
def test_a_value_that_cannot_be_is_refused_at_start(name: str, text: str) -> None:
    with pytest.raises(Misconfigured):
        load({f"HOLDFAST_{name}": text})


def test_what_the_command_line_says_comes_before_the_environment() -> None:
    assert load({"HOLDFAST_PORT": "9000"}, port=9001).port == 9001


def test_an_issuer_needs_a_client_and_one_secret(tmp_path: Path) -> None:
    issuer = {"HOLDFAST_OIDC_ISSUER": "https://login.example.com", "HOLDFAST_OIDC_CLIENT_ID": "holdfast"}
    secret = {"HOLDFAST_OIDC_CLIENT_SECRET": "the-secret-9911"}
    kept = tmp_path / "secret"
    kept.write_text("the-secret-9912\n")
    in_file = {"HOLDFAST_OIDC_CLIENT_SECRET_FILE": str(kept)}
    config = load(issuer | secret)
    assert config.read_oidc_client_secret() == "the-secret-9911"
    assert "the-secret-9911" not in repr(config) + str(config.shown())
    assert load(issuer | in_file).read_oidc_client_secret() == "the-secret-9912"
    domains = load(issuer | secret | {"HOLDFAST_OIDC_DOMAINS": "example.com=viewer"}).oidc_domains
    assert domains == {"example.com": "viewer"}
    written = {"HOLDFAST_OIDC_DOMAINS": "example.com=viewer, example.org=admin "}  # as `shown` writes them
    assert load(issuer | secret | written).oidc_domains == {"example.com": "viewer", "example.org": "admin"}
    http = issuer | secret | {"HOLDFAST_OIDC_ISSUER": "http://127.0.0.1:4000"}
    assert load(http | {"HOLDFAST_DEV": "1"}).oidc_issuer
    for wrong in (
        issuer,
        secret | {"HOLDFAST_OIDC_ISSUER": "https://login.example.com"},
        issuer | secret | in_file,
        http,
        issuer | secret | {"HOLDFAST_OIDC_ISSUER": "https://login.example.com?x"},
        issuer | secret | {"HOLDFAST_OIDC_DOMAINS": "example.com=owner"},
        issuer | secret | {"HOLDFAST_OIDC_DOMAINS": "com=viewer"},
    ):
        with pytest.raises(Misconfigured, match="oidc_"):
            load(wrong)
    with pytest.raises(Misconfigured, match="cannot be read"):
        load(issuer | {"HOLDFAST_OIDC_CLIENT_SECRET_FILE": str(tmp_path / "none")}).read_oidc_client_secret()
