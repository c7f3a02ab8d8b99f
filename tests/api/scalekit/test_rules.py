"""Rules that no request may break, whichever way it comes in."""

import math

import pytest

from holdfast.api.scalekit.descriptors import message
from holdfast.api.scalekit.rules import check
from holdfast.errors import Unprocessable


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_has_no_words_for_is_refused(number: float) -> None:
    request = message("connected_accounts.UpdateConnectedAccountRequest", connector="github", identifier="u")
    request.connected_account.api_config.fields["deep"].struct_value.fields["at"].number_value = number
    with pytest.raises(Unprocessable, match="api_config"):
        check(request)
    request.connected_account.api_config.fields["deep"].struct_value.fields["at"].number_value = 5.0
    check(request)
