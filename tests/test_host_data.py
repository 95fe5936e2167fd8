"""What data a constructor is given: ``torch.full`` is offered without a doubt only where torch agrees."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import pytest

from synclint.lint.host_data import Number, NumberKind

NUMBERS: dict[NumberKind, list[Any]] = {
    "bool": [True, False],
    "int": [0, 1, -1, 3, 300, -129, 2**31, 2**40, 2**63 - 1, 2**63, -(2**63), 2**64 - 1, 2**64, -(2**64)],
    "float": [0.0, -0.0, 1.5, -2.7, 65504.0, 65520.0, 3.39e38, 3.41e38, 1e40, 1e300, math.inf, -math.inf, math.nan],
    "complex": [1 + 2j, 1e40 + 0j, complex(math.inf, 1)],
}
DTYPES = """bool uint8 int8 int16 int32 int64 uint16 uint32 uint64 half float16 bfloat16 float32 float64 double
complex64 float8_e4m3fn float8_e5m2""".split()


def result(make: Any) -> Any:
    """What a call gives, as plain data: None if it raises."""
    try:
        made = make()
    except (RuntimeError, TypeError, ValueError, OverflowError):
        return None
    return made.dtype, tuple(made.shape), made.requires_grad, repr(made.tolist())


def agrees(value: object, dtype: str | None) -> bool:
    torch = pytest.importorskip("torch")
    given = None if dtype is None else getattr(torch, dtype)
    made = result(lambda: torch.tensor(value, dtype=given))
    return bool(made == result(lambda: torch.full((), value, dtype=given)))


@pytest.mark.parametrize("dtype", [None, *DTYPES])
@pytest.mark.parametrize("kind", NUMBERS)
def test_a_known_number_without_doubt_fills_as_it_is_made(kind: NumberKind, dtype: str | None) -> None:
    for value in NUMBERS[kind]:
        if not Number(kind, value).filling_doubt(dtype):
            assert agrees(value, dtype), value


@pytest.mark.parametrize("dtype", [None, *DTYPES])
@pytest.mark.parametrize("kind", NUMBERS)
def test_a_number_of_a_known_type_without_doubt_fills_as_it_is_made(kind: NumberKind, dtype: str | None) -> None:
    if not Number(kind).filling_doubt(dtype):
        assert all(agrees(value, dtype) for value in NUMBERS[kind])


def test_a_number_without_doubt_about_an_unknown_dtype_has_none_about_any() -> None:
    for kind, values in NUMBERS.items():
        for value, dtype in product([None, *values], [None, *DTYPES]):
            if not Number(kind, value).filling_doubt(""):
                assert not Number(kind, value).filling_doubt(dtype)


@pytest.mark.parametrize(
    ("kind", "value", "dtype"),
    [
        ("float", 1e40, None),
        ("float", None, "float32"),
        ("float", 1.5, "uint64"),
        ("int", 2**64, "float32"),
        ("int", None, "float16"),
        ("int", -1, "uint64"),
        ("int", -1, ""),
        ("complex", 1e40 + 0j, "complex64"),
    ],
)
def test_there_is_a_doubt_where_torch_disagrees(kind: NumberKind, value: Any, dtype: str | None) -> None:
    assert Number(kind, value).filling_doubt(dtype)


@pytest.mark.parametrize(
    ("kind", "value", "dtype"),
    [
        ("bool", None, "uint64"),
        ("length", None, "float16"),
        ("int", 7, ""),
        ("int", None, None),
        ("int", None, "int32"),
        ("float", -math.inf, "bfloat16"),
        ("float", 0.5, None),
        ("float", None, "float64"),
    ],
)
def test_there_is_none_where_it_is_needless(kind: NumberKind, value: Any, dtype: str | None) -> None:
    assert not Number(kind, value).filling_doubt(dtype)
