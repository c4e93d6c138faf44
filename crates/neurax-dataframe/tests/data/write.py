"""Writes the Parquet files of this folder with pyarrow, or checks files.

    write.py FOLDER              writes the files
    write.py --compare A B       checks that the files of two folders hold equal tables
    write.py --check FILE        checks a file that `examples/write_types.rs` wrote
"""

import datetime
import math
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

DAY = datetime.date(2026, 11, 30)


def types():
    """A column of each type, with missing values in most, in rows that fill several groups."""
    ints = [0, 1, None, 100, 5, 6, 7, 127]
    columns = {
        "bool": pa.array([True, None, False, True, True, False, None, True]),
        "f32": pa.array([0.5, -1.25, None, math.inf, 1e-30, 3.0, 4.0, 5.0], pa.float32()),
        "f64": pa.array([0.1, math.nan, None, -math.inf, 1e-300, 3.0, 4.0, 5.0], pa.float64()),
        "whole": pa.array(range(8), pa.int64()),
        "text": pa.array(["a", "", None, "Größe", "日本", "b", "a", "c"]),
        "category": pa.array(["x", "y", None, "x", "x", "z", "y", "x"]).dictionary_encode(),
        "date": pa.array([DAY, None] + [DAY + datetime.timedelta(days=i) for i in range(6)]),
        "time": pa.array([i * 1_000_000 for i in range(8)], pa.timestamp("us")),
    }
    for bits in (8, 16, 32, 64):
        columns[f"i{bits}"] = pa.array(
            [None if i is None else -i for i in ints[:-1]] + [-(2 ** (bits - 1))],
            getattr(pa, f"int{bits}")(),
        )
        columns[f"u{bits}"] = pa.array(ints[:-1] + [2**bits - 1], getattr(pa, f"uint{bits}")())
    return pa.table(columns)


def times():
    """Times of a day, durations and points in time, the first two in rows that have a value."""
    hour = 3_600_000_000
    return pa.table({
        "time": pa.array([0, 7 * hour + 1, None], pa.time64("us")),
        "duration": pa.array([-1, None, 5 * hour], pa.duration("us")),
        "moment": pa.array([None, -1, 1_700_000_000_000_000_001], pa.timestamp("ns")),
    })


def write(folder):
    pq.write_table(types(), folder / "types.parquet", row_group_size=3)
    numbers = pa.table({"n": pa.array(range(300), pa.int32()), "half": [i / 2 for i in range(300)]})
    for compression in ("none", "snappy", "gzip", "brotli", "zstd", "lz4"):
        path = folder / f"numbers-{compression}.parquet"
        pq.write_table(numbers, path, compression=compression, row_group_size=128)
    lists = pa.table({"list": [[1, 2], [3]], "n": [1, 2]})
    pq.write_table(lists, folder / "lists.parquet")
    money = pa.array([1, 2], pa.decimal128(9, 2))
    pq.write_table(pa.table({"money": money, "n": [1, 2]}), folder / "decimals.parquet")
    pq.write_table(times(), folder / "times.parquet")
    zone = pa.array([0, 3_600_000_000_000, None], pa.timestamp("ns", "Europe/Zurich"))
    pq.write_table(pa.table({"moment": zone, "n": [1, 2, 3]}), folder / "zone.parquet")
    pq.write_table(numbers.slice(0, 0), folder / "empty.parquet")


def same(a, b):
    """Equal values, with NaN equal to itself."""
    return a == b or (isinstance(a, float) and isinstance(b, float) and a != a and b != b)


def values(column):
    """The values as a list, points in time as integers: Python's have no nanoseconds."""
    is_moment = pa.types.is_timestamp(column.type)
    return (column.cast(pa.int64()) if is_moment else column).to_pylist()


def equal(a, b):
    assert a.schema.equals(b.schema), f"{a.schema}\n{b.schema}"
    for name in a.column_names:
        x, y = values(a[name]), values(b[name])
        assert len(x) == len(y) and all(map(same, x, y)), f"{name}: {x} {y}"


def compare(a, b):
    names = sorted(path.name for path in a.glob("*.parquet"))
    assert names == sorted(path.name for path in b.glob("*.parquet")), names
    for name in names:
        equal(pq.read_table(a / name), pq.read_table(b / name))
    print(f"{len(names)} files are equal")


def check(path):
    table = pq.read_table(path)
    want = {"bool": pa.array([True, False, True])}
    for bits in (8, 16, 32, 64):
        low, high = -(2 ** (bits - 1)), 2**bits - 1
        want[f"i{bits}"] = pa.array([low, 0, 5], getattr(pa, f"int{bits}")())
        want[f"u{bits}"] = pa.array([high, 0, 5], getattr(pa, f"uint{bits}")())
    want["f32"] = pa.array([0.5, math.nan, -math.inf], pa.float32())
    want["f64"] = pa.array([0.1, math.nan, -math.inf], pa.float64())
    want["half"] = pa.array([0.5, 1.5, -2.0], pa.float32())
    want["point_0"] = pa.array([0, 2, 4], pa.int32())
    want["point_1"] = pa.array([1, 3, 5], pa.int32())
    assert sorted(table.column_names) == sorted(want), table.column_names
    equal(table.select(list(want)), pa.table(want))
    print(f"pyarrow reads {len(want)} columns of {path}")


if sys.argv[1] == "--compare":
    compare(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
elif sys.argv[1] == "--check":
    check(sys.argv[2])
else:
    write(pathlib.Path(sys.argv[1]))
