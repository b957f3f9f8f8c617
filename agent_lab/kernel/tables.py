"""Look into tables: pandas', polars', arrow's, and xarray's datasets."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import structs

from agent_lab.kernel.arrays import attributes, known_dtype, row_labels, series_values
from agent_lab.kernel.reading import Reading
from agent_lab.kernel.statistics import describe
from agent_lab.kernel.values import cut, label, type_name
from agent_lab.kernel.variables import dtype_name
from agent_lab.protocol.reports import Column, Inspection, Variable

COLUMNS = 200
"""Columns told of; with statistics and rows, as far as the time goes."""
ROW_COLUMNS = 30
FEWEST = 1000
CELLS = 120_000
"""Cells read in all for statistics: of many columns fewer rows."""


def names_only(variable: Variable) -> tuple[Column, ...]:
    return tuple(Column(name, dtype) for name, dtype in variable.columns)


def _table(
    inspection: Inspection,
    reading: Reading,
    columns: Sequence[tuple[Any, str]],
    total: int,
    size: int,
    values: Callable[[int, int], Sequence[Any] | None],
) -> Inspection:
    """`columns`: (name, dtype) of those told of. `values(at, most)`: a sample of one."""
    most = max(min(CELLS // max(len(columns), 1), reading.most), FEWEST)
    found: list[Column] = []
    read = 0
    for at, (whole, dtype) in enumerate(columns):
        name, why = label(whole), reading.why(whole)
        if why or not reading.summary:
            found.append(Column(name, dtype, hidden=why))
            continue
        if reading.late():
            reading.note(f"statistics stop before column {name}: they took too long")
            found += [Column(label(n), d, hidden=reading.why(n)) for n, d in columns[at:]]
            break
        sample = _read(values, at, most, reading, name)
        if sample is None:
            found.append(Column(name, dtype))
            continue
        read = len(sample)
        about = describe(sample)
        top = tuple((f"most frequent: {text}", n) for text, n in about.top[:3])
        shown = (*about.statistics, *(top if reading.sample else ()))
        found.append(Column(name, dtype, about.nulls, shown))
    variable = structs.replace(inspection.variable, columns=())
    return structs.replace(
        inspection,
        variable=variable,
        columns=tuple(found),
        columns_left=total - len(columns),
        counted=reading.counted(read, size, "rows") if read else "",
    )


def _read(
    values: Callable[[int, int], Sequence[Any] | None],
    at: int,
    most: int,
    reading: Reading,
    name: str,
) -> Sequence[Any] | None:
    try:
        return values(at, most)
    except (Exception, SystemExit) as error:  # changed meanwhile, or by the person
        reading.note(f"column {name} could not be read: {type_name(error)}")
        return None


def _rows(
    inspection: Inspection,
    reading: Reading,
    labels: Sequence[str],
    heads: Callable[[int], Sequence[Any] | None],
) -> Inspection:
    """The first rows, column by column; what is hidden stays hidden."""
    if not reading.rows:
        return inspection
    shown = inspection.columns[:ROW_COLUMNS]
    cells: list[Sequence[str]] = []
    for at, column in enumerate(shown):
        head = None
        if not column.hidden:
            head = _read(lambda at, _: heads(at), at, 0, reading, column.name)
        cells.append(["…"] * len(labels) if head is None else reading.row(head))
    rows = tuple(
        (name, *(column[at] for column in cells if at < len(column)))
        for at, name in enumerate(labels)
    )
    return structs.replace(inspection, header=("", *(one.name for one in shown)), rows=rows)


def _pandas(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    few = value.iloc[:, :COLUMNS]
    dtypes = list(few.dtypes)
    columns = [
        (name, dtype_name(dtype)) for name, dtype in zip(list(few.columns), dtypes, strict=True)
    ]
    inspection = _table(
        inspection,
        reading,
        columns,
        value.shape[1],
        value.shape[0],
        lambda at, most: series_values(value.iloc[:, at], most, reading),
    )
    index = value.index
    names = ", ".join(label(one) for one in index.names if one is not None)
    items = (("index", cut(f"{type_name(index)} {names}".strip(), 200)),)
    inspection = structs.replace(inspection, items=items)
    return _rows(
        inspection,
        reading,
        row_labels(index, reading) if reading.rows else [],
        lambda at: value.iloc[: reading.rows, at].tolist() if known_dtype(dtypes[at]) else None,
    )


def _polars(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    schema = list(value.schema.items())
    columns = [(name, dtype_name(dtype)) for name, dtype in schema[:COLUMNS]]
    height = value.shape[0]
    inspection = _table(
        inspection,
        reading,
        columns,
        len(schema),
        height,
        lambda at, most: value.to_series(at).gather_every(max(-(-height // most), 1)).to_list(),
    )
    labels = [str(at) for at in range(min(reading.rows, height))]
    return _rows(
        inspection, reading, labels, lambda at: value.to_series(at).head(reading.rows).to_list()
    )


def _arrow(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    schema = list(value.schema)
    columns = [(field.name, cut(str(field.type), 80)) for field in schema[:COLUMNS]]
    height = value.num_rows

    def sample(at: int, most: int) -> Sequence[Any]:
        column = value.column(at)
        if height <= most:
            return list(column.to_pylist())
        part, places = most // 8, range(0, height - most // 8, height // 8)
        return [one for place in places for one in column.slice(place, part).to_pylist()]

    inspection = _table(inspection, reading, columns, len(schema), height, sample)
    labels = [str(at) for at in range(min(reading.rows, height))]
    return _rows(
        inspection,
        reading,
        labels,
        lambda at: value.column(at).slice(0, reading.rows).to_pylist(),
    )


def _dataset(value: Any, inspection: Inspection, reading: Reading) -> Inspection:
    """Of each variable its shape; look into one for its values."""
    items = [(f"dimension {label(name)}", str(count)) for name, count in value.sizes.items()]
    columns = tuple(
        Column(label(name), f"{one.dtype} ({', '.join(map(label, one.dims))}) {one.shape}")
        for name, one in list(value.variables.items())[:COLUMNS]
    )
    if reading.sample:
        items += attributes(value.attrs, reading)
    return structs.replace(inspection, items=tuple(items), columns=columns)


TABLES: Mapping[str, Callable[[Any, Inspection, Reading], Inspection]] = {
    "pandas.DataFrame": _pandas,
    "polars.DataFrame": _polars,
    "pyarrow.Table": _arrow,
    "pyarrow.RecordBatch": _arrow,
    "xarray.Dataset": _dataset,
}
