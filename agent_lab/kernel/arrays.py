"""Look into arrays: numpy's, torch's, xarray's, and single columns of tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import structs

from agent_lab.kernel.reading import Reading
from agent_lab.kernel.values import family, label, plain, type_name
from agent_lab.protocol.reports import Inspection
from agent_lab.protocol.secrets import without_secrets

ARRAYS = frozenset(
    ("numpy.ndarray", "numpy.memmap", "torch.Tensor", "torch.Parameter", "xarray.DataArray",
     "pandas.Series", "polars.Series", "pyarrow.ChunkedArray")
)  # fmt: skip
ACROSS = 20
"""Columns shown of a matrix."""


def array(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    """Statistics of a sample that is spread over the whole, and the first rows."""
    known = family(type(value))
    if known == "pandas.Series":
        return _pandas_series(value, inspection, reading)
    if known in ("polars.Series", "pyarrow.ChunkedArray"):
        return _column(value, inspection, reading, known)
    if known == "xarray.DataArray":
        return _xarray(value, inspection, reading)
    if known.startswith("torch."):
        return _torch(value, inspection, reading)
    return _numbers(value, inspection, reading)


def strides(shape: Sequence[int], most: int) -> tuple[slice, ...]:
    """Steps along each axis that leave at most `most` items, spread over the whole."""
    counts, steps = list(shape), [1] * len(shape)
    while _product(counts) > most:
        axis = max(range(len(counts)), key=counts.__getitem__)
        over = _product(counts) / most
        steps[axis] *= max(2, min(int(over), shape[axis]))
        counts[axis] = -(-shape[axis] // steps[axis])
    return tuple(slice(None, None, step) for step in steps)


def _product(counts: Sequence[int]) -> int:
    total = 1
    for count in counts:
        total *= count
    return total


def flat(nested: Any) -> list[Any]:
    """The items of nested lists, as `tolist` gives them."""
    while type(nested) is list and nested and type(nested[0]) is list:
        nested = [one for part in nested for one in part]
    return nested if type(nested) is list else [nested]


def _numbers(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    if value.dtype.names:
        fields = tuple(
            (label(name), str(value.dtype.fields[name][0])) for name in value.dtype.names
        )
        return structs.replace(inspection, items=fields)
    if not reading.summary or value.size == 0:
        return inspection
    size = int(value.size)
    if family(type(value)) == "numpy.memmap":
        # Steps over a file would read a page for each item.
        part = value[tuple(slice(0, 1) for _ in value.shape[:-1])][..., : reading.most]
        values = flat(part.tolist())
        counted = f"the first {len(values)} of {size} items" if len(values) < size else ""
        inspection = reading.column(inspection, values, size, "items")
        inspection = structs.replace(inspection, counted=counted)
    else:
        values = flat(value[strides(value.shape, reading.most)].tolist())
        inspection = reading.column(inspection, values, size, "items")
    return _head(value, inspection, reading)


def _head(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    """The first rows; of more than two axes, those of the first matrix."""
    if not reading.rows or not len(value.shape):
        return inspection
    while len(value.shape) > 2:
        value = value[0]
    if len(value.shape) == 2:
        part = value[: reading.rows, :ACROSS].tolist()
    else:
        part = [[one] for one in value[: reading.rows].tolist()]
    rows = tuple((str(at), *reading.row(row)) for at, row in enumerate(part))
    return structs.replace(inspection, rows=rows)


def _torch(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    items = [("device", str(value.device)), ("requires_grad", str(value.requires_grad))]
    inspection = structs.replace(inspection, items=tuple(items))
    # Another device would have to be waited for, and other layouts computed.
    if value.device.type != "cpu" or str(value.layout) != "torch.strided" or value.is_quantized:
        reading.note(f"values on {value.device} ({value.layout}) are not read")
        return inspection
    if not reading.summary or value.numel() == 0:
        return inspection
    plain_value = value.detach()
    values = flat(plain_value[strides(plain_value.shape, reading.most)].tolist())
    inspection = reading.column(inspection, values, int(value.numel()), "items")
    return _head(plain_value, inspection, reading)


def _xarray(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    items = [(f"dimension {label(name)}", str(count)) for name, count in value.sizes.items()]
    for name, one in list(value.coords.items())[:20]:
        items.append((f"coordinate {label(name)}", f"{one.dtype} {one.shape}"))
    if reading.sample:
        items += attributes(value.attrs, reading)
    inspection = structs.replace(inspection, items=tuple(items))
    # The variable's own array: `.values` would load it from its file.
    inside = value.variable._data
    if family(type(inside)) != "numpy.ndarray":
        reading.note(f"not loaded ({type_name(inside)}), so no values are shown")
        return inspection
    return _numbers(inside, inspection, reading)


def attributes(attrs: Any, reading: Reading) -> list[tuple[str, str]]:
    """What xarray's objects say of themselves."""
    return [
        (f"attribute {label(name)}", reading.why(name) or reading.cell(one))
        for name, one in list(dict.items(attrs))[:20]
        if plain(one) is not None
    ]


def _pandas_series(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    index = value.index
    items = [("index", f"{type_name(index)} {label(index.name) if index.name else ''}".strip())]
    inspection = structs.replace(inspection, items=tuple(items))
    if not reading.summary:
        return inspection
    values = series_values(value, reading.most, reading)
    if values is None:
        return inspection
    inspection = reading.column(inspection, values, len(value), "rows")
    if not reading.rows:
        return inspection
    labels = row_labels(index, reading)
    head = value.iloc[: reading.rows].tolist()
    rows = tuple((name, reading.cell(one)) for name, one in zip(labels, head, strict=True))
    return structs.replace(inspection, rows=rows)


def row_labels(index: Any, reading: Reading) -> list[str]:
    """Of the first rows; an index whose name is masked has numbers."""
    names = [one for one in index.names if one is not None]
    if why := next(filter(None, map(reading.why, names)), ""):
        reading.note(f"index {', '.join(map(label, names))} {why}")
        return [str(at) for at in range(min(reading.rows, len(index)))]
    return [without_secrets(label(one)) for one in index[: reading.rows].tolist()]


def series_values(value: Any, most: int, reading: Reading) -> list[Any] | None:
    """A sample of a pandas column, None when its dtype is a stranger's."""
    if not known_dtype(value.dtype):
        reading.note(f"values of {type_name(value.dtype)} are not read")
        return None
    step = max(-(-len(value) // most), 1)
    return list(value.iloc[::step].tolist())


def known_dtype(dtype: Any) -> bool:
    return family(type(dtype)).partition(".")[0] in ("numpy", "pandas")


def _column(value: Any, inspection: Inspection, reading: Reading, known: str) -> Inspection:
    if not reading.summary:
        return inspection
    size = len(value)
    if known == "polars.Series":
        step = max(-(-size // reading.most), 1)
        values = value.gather_every(step).to_list()
    else:
        values = value.slice(0, reading.most).to_pylist()
    inspection = reading.column(inspection, values, size, "rows")
    head = values[: reading.rows] if size <= reading.most else _first(value, reading, known)
    rows = tuple((str(at), reading.cell(one)) for at, one in enumerate(head))
    return structs.replace(inspection, rows=rows)


def _first(value: Any, reading: Reading, known: str) -> list[Any]:
    part = value.head(reading.rows).to_list() if known == "polars.Series" else None
    return list(value.slice(0, reading.rows).to_pylist() if part is None else part)
