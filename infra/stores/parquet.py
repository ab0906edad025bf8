"""Apache Parquet, for those who take reports into tools of their own."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Mapping

import pyarrow as pa
import pyarrow.parquet as pq

from projections.reports import ColumnKind, Rows

_TYPES: Mapping[ColumnKind, pa.DataType] = {"text": pa.string(), "date": pa.date32(), "integer": pa.int64()}


def parquet_of(columns: Mapping[str, ColumnKind], rows: Rows) -> bytes:
    """See ParquetWriter."""
    arrays = [
        pa.array([dt.date.fromisoformat(row[name]) if kind == "date" else row[name] for row in rows], _TYPES[kind])
        for name, kind in columns.items()
    ]
    file = io.BytesIO()
    pq.write_table(pa.table(arrays, names=list(columns)), file)
    return file.getvalue()
