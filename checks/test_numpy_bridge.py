"""Checks of the exchange of arrays between NumPy and torch, which an import does not cover."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from support.claims import applies_to, imported, refute, reported

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITED = ("uint16", "uint32", "uint64")  # torch implements few operations for them
DTYPES = (
    *("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"),
    *("complex64", "complex128", *LIMITED),
)

BRIDGE = """\
import warnings
import numpy as np, torch

def array(name):
    dtype = np.dtype(name)
    if dtype.kind == "b":
        values = [True, False, True, True, False, True]
    elif dtype.kind in "iu":
        info = np.iinfo(dtype)
        values = [info.min, info.max, 0, 1, 2, info.max // 2]
    else:
        info = np.finfo(dtype)
        values = [0.0, -1.5, float(info.max), float(info.tiny), float("inf"), 0.25]
        if dtype.kind == "c":
            values = [value * 1j if value == 0.25 else value for value in values]
    return np.array(values, dtype=dtype)

def same(one, other):
    return one.dtype == other.dtype and one.shape == other.shape and np.array_equal(one, other)

problems = []

def compare(what, there, back):
    if not same(np.asarray(there), np.asarray(back)):
        problems.append(f"{what}: {there!r} came back as {back!r}")
"""

BOTH_WAYS = """\
if not hasattr(torch, NAME):
    report({"lacks": f"torch has no {NAME}"})
else:
    base = array(NAME)
    shapes = {
        "a vector": base,
        "a matrix": base.reshape(2, 3),
        "a scalar": np.array(base[1]),
        "nothing": base[:0],
        "every second": base[::2],
        "a transposed matrix": base.reshape(2, 3).T,
    }
    for shape, there in shapes.items():
        compare(f"torch.tensor() of {shape}", there, torch.tensor(there).numpy())
        compare(f"torch.from_numpy() of {shape}", there, torch.from_numpy(there).numpy())
        compare(f"torch.as_tensor() of {shape}", there, torch.as_tensor(there).numpy())
        compare(f"torch.asarray() of {shape}", there, torch.asarray(there).numpy())
        compare(f"np.asarray() of a tensor of {shape}", there, np.asarray(torch.tensor(there)))
        forced = torch.tensor(there).numpy(force=True)
        compare(f"Tensor.numpy(force=True) of {shape}", there, forced)
        if torch.tensor(there).dtype is not getattr(torch, NAME):
            problems.append(f"torch.tensor() of {shape}: its dtype is {torch.tensor(there).dtype}")
    for where, there in shapes.items():
        compare(f"torch.from_dlpack() of {where}", there, torch.from_dlpack(there.copy()).numpy())
        tensor = torch.tensor(there)
        compare(f"np.from_dlpack() of a tensor of {where}", there, np.from_dlpack(tensor))
    kept = base.copy()
    kept.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the tensor would be writable
        compare("torch.tensor() of a read-only array", base, torch.tensor(kept).numpy())
        compare("torch.as_tensor() of a read-only array", base, torch.as_tensor(kept).numpy())
        compare("torch.from_numpy() of a read-only array", base, torch.from_numpy(kept).numpy())
    shared = base.copy()
    torch.from_numpy(shared)[0] = 1
    if shared[0] != 1:
        problems.append("torch.from_numpy(): the memory is not shared")
    tensor = torch.tensor(base)
    tensor.numpy()[0] = 1
    if tensor[0].item() != 1:
        problems.append("Tensor.numpy(): the memory is not shared")
    for value, held in zip(base, torch.tensor(base)):
        compare("Tensor.item()", value, np.array(held.item(), dtype=base.dtype))
        if NAME not in LIMITED:  # a scalar of these dtypes becomes another dtype first
            compare("torch.tensor() of a NumPy scalar", value, torch.tensor(value).numpy())
    report({"problems": problems})
"""

ACROSS = """\
for name in NAMES:
    if hasattr(torch, name):
        there = array(name).reshape(2, 3)
        compare(f"{name} through {DEVICE}", there, torch.from_numpy(there).to(DEVICE).cpu().numpy())
        strided = torch.from_numpy(there).to(DEVICE).T
        compare(f"{name} transposed on {DEVICE}", there.T, strided.cpu().numpy())
report({"problems": problems})
"""


def run_bridge(source: str, script: str) -> Mapping[str, Any]:
    """Return the value of a snippet; fail the check if arrays were changed on the way."""
    applies_to("numpy", "torch")
    expected = "arrays keep their values, shape and dtype"
    observation = imported("numpy", "torch").run(f"{BRIDGE}{source}")
    value: dict[str, Any] = reported(observation, expected=expected, script=script).value
    if value.get("problems"):
        refute(expected=expected, seen="\n".join(value["problems"]), script=script)
    return value


@pytest.mark.parametrize("dtype", DTYPES)
def test_bridge_both_ways(dtype: str) -> None:
    """NumPy and torch exchange arrays in both directions without loss."""
    script = (
        "import numpy, torch\n"
        f"array = numpy.ones(3, dtype={dtype!r})\n"
        "print(torch.tensor(array), torch.from_numpy(array), torch.tensor(array).numpy())"
    )
    if lacks := run_bridge(f"NAME, LIMITED = {dtype!r}, {LIMITED!r}\n{BOTH_WAYS}", script).get(
        "lacks"
    ):
        pytest.skip(lacks)


def test_bridge_from_device(device: str) -> None:
    """NumPy and torch exchange arrays through the cell's device without loss."""
    script = f"import torch; print(torch.ones(2, 3).to({device!r}).T.cpu().numpy())"
    names = [name for name in DTYPES if name not in LIMITED]
    run_bridge(f"NAMES, DEVICE = {names!r}, {device!r}\n{ACROSS}", script)
