//! Parquet files that pyarrow wrote: see `data/write.py` and `scripts/pyarrow.sh`.

use neurax::prelude::*;
use neurax_dataframe::polars::prelude::{DataFrame, DataType};
use neurax_dataframe::{FrameTensors, Nulls, parquet_stream, read_parquet};
use std::path::{Path, PathBuf};

/// Returns the path of a file in the folder of the variable `NEURAX_PYARROW_FILES`, by default that
/// of the repository.
fn file(name: &str) -> PathBuf {
    let stored = || Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data");
    let folder = std::env::var_os("NEURAX_PYARROW_FILES").map_or_else(stored, PathBuf::from);
    folder.join(name)
}

fn read(name: &str) -> DataFrame {
    read_parquet(file(name)).unwrap()
}

/// The column without missing values, which are 77.
fn filled<T: neurax::Element>(frame: &DataFrame, column: &str) -> Vec<T> {
    frame.tensor(column, Nulls::Value(77.0)).unwrap().to_vec().unwrap()
}

#[test]
fn every_type_of_numbers_is_read() {
    let frame = read("types.parquet");
    assert_eq!(frame.shape(), (8, 16));
    assert_eq!(filled::<i8>(&frame, "i8"), [0, -1, 77, -100, -5, -6, -7, i8::MIN]);
    assert_eq!(filled::<i16>(&frame, "i16"), [0, -1, 77, -100, -5, -6, -7, i16::MIN]);
    assert_eq!(filled::<i32>(&frame, "i32"), [0, -1, 77, -100, -5, -6, -7, i32::MIN]);
    assert_eq!(filled::<i64>(&frame, "i64"), [0, -1, 77, -100, -5, -6, -7, i64::MIN]);
    assert_eq!(filled::<u8>(&frame, "u8"), [0, 1, 77, 100, 5, 6, 7, u8::MAX]);
    assert_eq!(filled::<u16>(&frame, "u16"), [0, 1, 77, 100, 5, 6, 7, u16::MAX]);
    assert_eq!(filled::<u32>(&frame, "u32"), [0, 1, 77, 100, 5, 6, 7, u32::MAX]);
    assert_eq!(filled::<u64>(&frame, "u64"), [0, 1, 77, 100, 5, 6, 7, u64::MAX]);
    let f32s = [0.5, -1.25, 77.0, f32::INFINITY, 1e-30, 3.0, 4.0, 5.0];
    assert_eq!(filled::<f32>(&frame, "f32"), f32s);
    let f64s = filled::<f64>(&frame, "f64");
    assert!(f64s[1].is_nan() && f64s[2] == 77.0 && f64s[4] == 1e-300, "{f64s:?}");
}

#[test]
fn bools_dates_and_times_are_read() {
    let frame = read("types.parquet");
    let bools = frame.tensor("bool", Nulls::Value(1.0)).unwrap().to_vec::<bool>().unwrap();
    assert_eq!(bools, [true, true, false, true, true, false, true, true]);
    // 2026-11-30 is day 20,787 since 1970.
    let days = frame.tensor("date", Nulls::Value(-1.0)).unwrap().to_vec::<i32>().unwrap();
    assert_eq!(days[..4], [20_787, -1, 20_787, 20_788]);
    let times = frame.tensor("time", Nulls::Error).unwrap().to_vec::<i64>().unwrap();
    assert_eq!(times[7], 7_000_000);
}

#[test]
fn times_durations_and_nanoseconds_are_read() {
    let frame = read("times.parquet");
    let of = |column: &str, missing: i64| {
        let error = frame.tensor(column, Nulls::Error).unwrap_err().to_string();
        assert!(error.contains("is missing"), "{error}");
        let values = frame.tensor(column, Nulls::Value(missing as f64)).unwrap();
        values.to_vec::<i64>().unwrap()
    };
    // Polars stores times of a day in nanoseconds, whatever the file does.
    assert_eq!(of("time", -5), [0, 25_200_000_001_000, -5]);
    assert_eq!(of("duration", 3), [-1, 3, 18_000_000_000]);
    assert_eq!(of("moment", 0), [0, -1, 1_700_000_000_000_000_001]);
    for column in ["time", "duration", "moment"] {
        let error = frame.matrix(&[column], Nulls::Value(0.0)).unwrap_err().to_string();
        assert!(error.contains("f32 does not hold"), "{error}");
    }
}

#[test]
fn texts_and_categories_are_read() {
    let frame = read("types.parquet");
    assert_eq!(frame.texts("text").unwrap(), ["a", "", "", "Größe", "日本", "b", "a", "c"]);
    assert_eq!(frame.texts("category").unwrap(), ["x", "y", "", "x", "x", "z", "y", "x"]);
    let mask = frame.mask("text").unwrap().to_vec::<bool>().unwrap();
    assert_eq!(mask.iter().position(|has| !has), Some(2));
    assert!(frame.column("category").unwrap().dtype().is_categorical());
    let error = frame.texts("i8").unwrap_err().to_string();
    assert!(error.contains("column `i8`: expected texts or categories, got i8"), "{error}");
}

#[test]
fn every_compression_is_read() {
    for compression in ["none", "snappy", "gzip", "brotli", "zstd", "lz4"] {
        let frame = read(&format!("numbers-{compression}.parquet"));
        let n = frame.tensor("n", Nulls::Error).unwrap().to_vec::<i32>().unwrap();
        assert!(n.iter().copied().eq(0..300), "{compression}");
        assert_eq!(frame.tensor("half", Nulls::Error).unwrap().sum(..).item().unwrap(), 22_425.0);
    }
    let empty = read("empty.parquet");
    assert_eq!(empty.tensor("n", Nulls::Error).unwrap().shape(), [0]);
    assert_eq!(empty.matrix(&["n", "half"], Nulls::Error).unwrap().shape(), [0, 2]);
}

#[test]
fn row_groups_are_streamed() {
    let batches = parquet_stream(file("numbers-zstd.parquet"), &["half"], &["n"], 50, Nulls::Error);
    for _ in 0..2 {
        let all = batches.epoch(0).collect::<Result<Vec<_>>>().unwrap();
        // Groups of 128, 128 and 44 rows.
        let sizes: Vec<usize> = all.iter().map(|batch| batch.x.shape()[0]).collect();
        assert_eq!(sizes, [50, 50, 28, 50, 50, 28, 44]);
        let n = concat(all.iter().map(|batch| batch.y.clone()).collect::<Vec<_>>(), 0);
        assert!(n.to_vec::<f32>().unwrap().into_iter().eq((0..300).map(|i| i as f32)));
        assert!(
            all.iter()
                .all(|batch| (&batch.x * 2.0 - &batch.y).abs().sum(..).item().unwrap() == 0.0)
        );
    }
    let later = batches.epoch_from(0, 5).next().unwrap().unwrap();
    assert_eq!(later.y.index((0, 0)).item().unwrap(), 228.0);
}

#[test]
fn lists_are_read_but_are_no_tensors() {
    let frame = read("lists.parquet");
    assert_eq!(frame.tensor("n", Nulls::Error).unwrap().to_vec::<i64>().unwrap(), [1, 2]);
    let error = frame.tensor("list", Nulls::Error).unwrap_err().to_string();
    assert!(error.contains("column `list`: expected numbers, bools or dates, got list"), "{error}");
}

#[test]
fn decimals_are_an_error_that_names_the_file() {
    let error = read_parquet(file("decimals.parquet")).unwrap_err().to_string();
    assert!(error.contains("decimals.parquet: Polars failed: "), "{error}");
    assert!(error.contains("dtype-decimal"), "{error}");
}

#[test]
fn points_in_time_with_a_zone_are_those_of_utc() {
    let frame = read("zone.parquet");
    let moments = frame.tensor("moment", Nulls::Value(-1.0)).unwrap().to_vec::<i64>().unwrap();
    assert_eq!(moments, [0, 3_600_000_000_000, -1]);
    assert!(frame.column("moment").unwrap().dtype().is_datetime());
}

#[test]
fn damaged_files_are_errors_or_data() {
    let whole = std::fs::read(file("types.parquet")).unwrap();
    let name = format!("neurax-damaged-{}.parquet", std::process::id());
    let path = std::env::temp_dir().join(name);
    let mut errors = 0;
    for i in 0..120 {
        let at = i * whole.len() / 120;
        let mut bytes = whole.clone();
        match i % 3 {
            0 => bytes.truncate(at),
            1 => bytes[at] ^= 0x55,
            _ => drop(bytes.drain(at..(at + 5).min(whole.len()))),
        }
        std::fs::write(&path, &bytes).unwrap();
        match read_parquet(&path) {
            Err(e) => {
                assert!(e.message().contains("neurax-damaged"), "{e}");
                errors += 1;
            }
            // Names and values may be others, but every column is a tensor, texts or an error.
            Ok(frame) => {
                for name in frame.get_column_names() {
                    let _ = frame.tensor(name, Nulls::Value(0.0)).map(|x| x.to_bytes());
                    let _ = frame.texts(name);
                }
            }
        }
    }
    // All files that were cut off.
    assert!(errors >= 40, "{errors}");
    std::fs::remove_file(path).unwrap();
}

#[test]
fn types_are_those_of_polars() {
    let frame = read("types.parquet");
    assert_eq!(frame.column("whole").unwrap().dtype(), &DataType::Int64);
    assert_eq!(frame.column("date").unwrap().dtype(), &DataType::Date);
}
