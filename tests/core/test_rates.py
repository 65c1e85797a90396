"""Rates as config.yaml spells them."""

import pytest

from gateway.core.http.rates import parse_rate


@pytest.mark.parametrize(
    ("text", "amount", "seconds"),
    [("10/s", 10, 1), ("100/m", 100, 60), ("1/h", 1, 3600), ("5/d", 5, 86_400), ("5/10m", 5, 600)],
)
def test_a_rate_is_a_number_in_a_time(text: str, amount: int, seconds: int) -> None:
    rate = parse_rate(text)
    assert (rate.amount, rate.seconds, str(rate)) == (amount, seconds, text)
    assert rate.interval == seconds / amount


@pytest.mark.parametrize(
    "text", ["", "10", "10/", "/s", "10/0s", "0/s", "1/32d", "1 /s", "9999999/s", 1]
)
def test_other_texts_are_no_rates(text: object) -> None:
    with pytest.raises(ValueError, match="rate"):
        parse_rate(text)
