import pytest

from matrixci.util.text import rounded


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.196206, "0.196"),
        (0.00845305, "0.00845"),
        (-2.0051, "-2.01"),
        (1410.0, "1410"),
        (1410.4, "1,410"),
        (99_999.0, "99999"),
        (1_234_567.0, "1,230,000"),
        (1e-12, "1e-12"),
        (0.0, "0"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_a_measured_number_has_three_digits_and_a_count_all_of_them(
    value: float, text: str
) -> None:
    assert rounded(value) == text
