import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsconv_nas.base.text import did_you_mean
from bsconv_nas.base.units import counted, format_amount, format_duration, parse_amount, parse_duration
from bsconv_nas.errors import UsageError


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("300M", 300_000_000),
        ("300m", 300_000_000),
        (" 300 M ", 300_000_000),
        ("1.5G", 1_500_000_000),
        ("1.5B", 1_500_000_000),
        ("2T", 2_000_000_000_000),
        ("20k", 20_000),
        ("0.1k", 100),
        (".5k", 500),
        ("3e8", 300_000_000),
        ("3E+8", 300_000_000),
        ("5e-1k", 500),
        ("300000000", 300_000_000),
        ("1", 1),
    ],
)
def test_amounts_are_read(text: str, value: int) -> None:
    found = parse_amount(text)
    assert found == value
    assert isinstance(found, int)


@pytest.mark.parametrize(
    "text",
    ["300Q", "0", "0.5", "-5", "", " ", "nan", "inf", "1e", "1,5M", "1_000", "300MM", "M", "0x10", "1e400", "9" * 400],
)
def test_bad_amounts_are_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"--flops.*300M"):
        parse_amount(text, "--flops")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (300_000_000, "300M"),
        (12_988_938, "13.0M"),
        (999_499, "999k"),
        (999_500, "1.00M"),
        (9_994, "9.99k"),
        (9_995, "10.0k"),
        (999, "999"),
        (999.5, "1.00k"),
        (0, "0"),
        (0.1234, "0.123"),
        (-2_500, "-2.50k"),
        (1.5e15, "1500T"),
        (math.inf, "inf"),
    ],
)
def test_amounts_are_written_with_three_digits(value: float, text: str) -> None:
    assert format_amount(value) == text


@given(st.integers(1, 10**15))
def test_a_written_amount_reads_back_within_three_digits(value: int) -> None:
    assert parse_amount(format_amount(value)) == pytest.approx(value, rel=0.005)


@given(st.integers(1, 10**15))
def test_a_written_amount_is_stable(value: int) -> None:
    text = format_amount(value)
    assert format_amount(parse_amount(text)) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1h30m", 5400),
        ("1 h 30 m", 5400),
        ("2D", 172_800),
        ("1.5h", 5400),
        ("45", 45),
        ("0.5", 0.5),
    ],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "0", "0s", "-5s", "5x", "1h 30", "h", "nan", "inf", "5ms", "1m2", "1h,30m", "9" * 400]
)
def test_bad_durations_are_refused_by_name(text: str) -> None:
    with pytest.raises(UsageError, match=r"--time.*1h30m"):
        parse_duration(text, "--time")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (59, "59s"),
        (60, "1m00s"),
        (3569, "59m29s"),
        (3600, "1h00m"),
        (5025, "1h24m"),
        (86_400, "24h00m"),  # hours up to two days: "30h" says more than "1d06h" where searches take a night
        (107_100, "29h45m"),
        (172_740, "47h59m"),
        (172_800, "2d00h"),
        (math.inf, "inf"),
    ],
)
def test_durations_are_written_in_two_units(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(1, 3e7))
def test_a_written_duration_reads_back_within_three_percent(seconds: float) -> None:
    assert parse_duration(format_duration(seconds)) == pytest.approx(seconds, rel=0.05 if seconds < 10 else 0.03)


@pytest.mark.parametrize(("number", "text"), [(1, "1 core"), (2, "2 cores"), (0, "0 cores"), (0.25, "0.25 cores")])
def test_one_thing_is_singular(number: float, text: str) -> None:
    assert counted(number, "core") == text


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("cifra", ["mobile", "cifar"]) == "did you mean 'cifar'? (known: cifar, mobile)"


def test_without_a_near_name_all_are_listed() -> None:
    assert did_you_mean("zzz", ["b", "a"]) == "known: a, b"
