import pytest

from holdfast.oauth2 import is_verifier, matches, new_verifier, s256

# RFC 7636 appendix B
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_the_challenge_is_that_of_the_rfcs_example() -> None:
    assert s256(VERIFIER) == CHALLENGE
    assert matches(VERIFIER, CHALLENGE)
    assert not matches(VERIFIER[:-1] + "l", CHALLENGE)
    assert not matches(VERIFIER, VERIFIER)


def test_every_new_verifier_is_well_formed_and_another() -> None:
    made = {new_verifier().reveal() for _ in range(50)}
    assert len(made) == 50
    assert all(is_verifier(text) for text in made)
    assert repr(new_verifier()) == "<sealed>"


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("a" * 42, False),
        ("a" * 43, True),
        ("-._~" * 32, True),
        ("a" * 129, False),
        ("a" * 43 + "\n", False),
        ("a" * 43 + "+", False),
        ("é" * 43, False),
        ("", False),
    ],
)
def test_a_verifier_has_43_to_128_unreserved_characters(text: str, good: bool) -> None:
    assert is_verifier(text) is good
    assert matches(text, s256(text)) is good
