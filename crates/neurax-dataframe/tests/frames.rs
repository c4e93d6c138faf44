//! Columns as tensors and back, without files of other programs.

use neurax::data::prepare::StringLookup;
use neurax::prelude::*;
use neurax_dataframe::polars::df;
use neurax_dataframe::polars::prelude::{
    Categories, Column, DataFrame, DataType, IntoColumn, NamedFrom, ParquetReader, ParquetWriter,
    SerReader, Series, TimeUnit,
};
use neurax_dataframe::{
    FrameTensors, Nulls, frame_of, parquet_frames, parquet_stream, read_csv, read_parquet,
    write_csv, write_parquet,
};
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("neurax-frames-{}-{name}", std::process::id()))
}

/// Returns a frame of one column.
fn frame(column: Series) -> DataFrame {
    DataFrame::new_infer_height(vec![column.into_column()]).unwrap()
}

#[test]
fn the_memory_of_a_whole_column_is_shared() {
    let frame = frame(Series::new("x".into(), (0..100_000).map(f64::from).collect::<Vec<_>>()));
    let address = frame.column("x").unwrap().f64().unwrap().cont_slice().unwrap().as_ptr().addr();
    let x = frame.tensor("x", Nulls::Error).unwrap();
    assert_eq!(x.to_literal().unwrap().bytes().address(), address, "nothing was copied");
    // The tensor keeps the memory alive, and changes of it are not those of the frame.
    let doubled = &x * 2.0;
    drop(frame);
    assert_eq!(doubled.sum(..).item().unwrap(), 9_999_900_000.0);
    assert_eq!(x.index(99_999).item().unwrap(), 99_999.0);
}

#[test]
fn parts_and_chunks_of_columns_are_read() {
    let whole = frame(Series::new("x".into(), (0..10).collect::<Vec<i32>>()));
    let part = whole.slice(3, 4);
    assert_eq!(part.tensor("x", Nulls::Error).unwrap().to_vec::<i32>().unwrap(), [3, 4, 5, 6]);
    let chunks = part.vstack(&whole.head(Some(2))).unwrap();
    assert_eq!(chunks.max_n_chunks(), 2);
    let want = [3, 4, 5, 6, 0, 1];
    assert_eq!(chunks.tensor("x", Nulls::Error).unwrap().to_vec::<i32>().unwrap(), want);
    let matrix = chunks.matrix(&["x", "x"], Nulls::Error).unwrap();
    assert_eq!(matrix.index((.., 1)).to_vec::<f32>().unwrap(), want.map(|i| i as f32));
    let scalar = frame(Series::new("a".into(), vec![1i64, 2]));
    let mut constant = scalar.clone();
    let column = Column::new_scalar("c".into(), 7.5f64.into(), 2);
    constant.with_column(column).unwrap();
    assert_eq!(constant.tensor("c", Nulls::Error).unwrap().to_vec::<f64>().unwrap(), [7.5, 7.5]);
}

#[test]
fn missing_values_follow_the_stated_rule() {
    let frame = df!["n" => [Some(1i64), None], "b" => [None, Some(true)], "t" => ["a", "b"]];
    let frame = frame.unwrap();
    let error = |r: Result<Tensor>| r.unwrap_err().to_string();
    let n = error(frame.tensor("n", Nulls::Error));
    assert!(n.contains("column `n`: row 1 is missing; state a number"), "{n}");
    assert!(error(frame.matrix(&["n"], Nulls::Error)).contains("row 1 is missing"));
    assert!(error(frame.tensor("b", Nulls::Error)).contains("row 0 is missing"));
    let half = error(frame.tensor("n", Nulls::Value(0.5)));
    assert!(half.contains("missing values cannot be 0.5 in a column of i64"), "{half}");
    assert!(error(frame.tensor("b", Nulls::Value(2.0))).contains("can be 0 or 1, not 2"));
    let filled =
        frame.matrix(&["n", "b"], Nulls::Value(f64::NAN)).unwrap().to_vec::<f32>().unwrap();
    assert!(filled[1].is_nan() && filled[2].is_nan() && filled[0] == 1.0 && filled[3] == 1.0);
    let t = error(frame.tensor("t", Nulls::Error));
    assert!(t.contains("got str") && t.contains("StringLookup"), "{t}");
    let other = error(frame.tensor("z", Nulls::Error));
    assert!(other.contains("expected one of the columns n, b, t, got `z`"), "{other}");
}

#[test]
fn nan_is_a_value_and_a_missing_value_is_none() {
    let frame = df!["x" => [Some(f64::NAN), None, Some(1.0)]].unwrap();
    assert_eq!(frame.mask("x").unwrap().to_vec::<bool>().unwrap(), [true, false, true]);
    let error = frame.tensor("x", Nulls::Error).unwrap_err().to_string();
    assert!(error.contains("row 1 is missing"), "{error}");
    let filled = frame.tensor("x", Nulls::Value(5.0)).unwrap().to_vec::<f64>().unwrap();
    assert!(filled[0].is_nan() && filled[1..] == [5.0, 1.0], "{filled:?}");
    let matrix = frame.head(Some(1)).matrix(&["x"], Nulls::Error).unwrap();
    assert!(matrix.item().unwrap().is_nan());
    let error = frame.matrix(&["x"], Nulls::Value(1e300)).unwrap_err().to_string();
    assert!(error.contains("missing values cannot be 1"), "{error}");
}

#[test]
fn a_missing_target_is_an_error_with_its_row_in_the_file() {
    let y = [Some(1i64), Some(2), Some(3), None, Some(5)];
    let frame = df!["x" => [Some(1.0), None, Some(3.0), None, None], "y" => y].unwrap();
    let nulls = Nulls::Value(0.0);
    let error = frame.dataset(&["x"], &["y"], nulls).unwrap_err().to_string();
    assert!(error.contains("column `y`: row 3 is missing"), "{error}");
    assert_eq!(frame.dataset(&["x"], &["x"], nulls).unwrap_err().op(), "dataframe");

    let file = path("targets.parquet");
    write_parquet(&frame, &file).unwrap();
    let batches: Vec<_> = parquet_stream(&file, &["x"], &["y"], 2, nulls).epoch(0).collect();
    assert_eq!(batches[0].as_ref().unwrap().x.to_vec::<f32>().unwrap(), [1.0, 0.0]);
    let error = batches[1].as_ref().unwrap_err().to_string();
    assert!(error.contains("targets.parquet: column `y`: row 3 is missing"), "{error}");
    let inputs = parquet_stream(&file, &["x"], &["y"], 1, Nulls::Error);
    let error = inputs.epoch_from(0, 1).next().unwrap().unwrap_err().to_string();
    assert!(error.contains("targets.parquet: column `x`: row 1 is missing"), "{error}");
    std::fs::remove_file(file).unwrap();
}

/// Writes 21 rows in groups of 7. Returns the bytes of the file that each group takes.
fn write_groups(file: &std::path::Path) -> Vec<std::ops::Range<usize>> {
    let (x, y) = (Tensor::arange(21), Tensor::arange(21) * 2);
    let mut frame = frame_of(&[("x", &x), ("y", &y)]).unwrap();
    let written = std::fs::File::create(file).unwrap();
    ParquetWriter::new(written).with_row_group_size(Some(7)).finish(&mut frame).unwrap();
    let mut reader = ParquetReader::new(std::fs::File::open(file).unwrap());
    let groups = &reader.get_metadata().unwrap().row_groups;
    assert_eq!(groups.iter().map(|group| group.num_rows()).collect::<Vec<_>>(), [7; 3]);
    let bytes = groups.iter().map(|group| group.full_byte_range());
    bytes.map(|range| range.start as usize..range.end as usize).collect()
}

/// Returns the rows of batches, as texts.
fn shown(batches: impl Iterator<Item = Result<data::Batch>>) -> Vec<String> {
    batches.map(|batch| batch.map(|batch| format!("{} {}", batch.x, batch.y)).unwrap()).collect()
}

#[test]
fn a_stream_resumes_with_the_batches_of_an_undisturbed_epoch() {
    let file = path("groups.parquet");
    write_groups(&file);
    for rows in [1, 2, 3, 7, 100] {
        let stream = parquet_stream(&file, &["x"], &["y"], rows, Nulls::Error);
        let whole = shown(stream.epoch(0));
        assert_eq!(whole.len(), 3 * 7usize.div_ceil(rows));
        for first in 0..whole.len() + 2 {
            let rest = shown(stream.epoch_from(0, first));
            assert_eq!(rest, whole[first.min(whole.len())..], "{rows} rows from batch {first}");
        }
    }
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_group_that_is_skipped_is_not_decoded() {
    let (file, whole) = (path("damaged.parquet"), path("whole.parquet"));
    let groups = write_groups(&file);
    std::fs::copy(&file, &whole).unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[groups[0].clone()].fill(0xff);
    bytes[groups[2].clone()].fill(0xff);
    std::fs::write(&file, bytes).unwrap();
    let of = |file| parquet_stream(file, &["x"], &["y"], 3, Nulls::Error);
    let first = of(&file).epoch(0).next().unwrap().unwrap_err().to_string();
    assert!(first.contains("damaged.parquet: "), "{first}");
    // Group 1 is whole, and decoded before group 2 is.
    assert_eq!(
        shown(of(&file).epoch_from(0, 3).take(3)),
        shown(of(&whole).epoch_from(0, 3).take(3))
    );
    assert_eq!(
        shown(of(&file).epoch_from(0, 5).take(1)),
        shown(of(&whole).epoch_from(0, 5).take(1))
    );
    let last = of(&file).epoch_from(0, 5).nth(1).unwrap().unwrap_err().to_string();
    assert!(last.contains("damaged.parquet: "), "{last}");
    std::fs::remove_file(file).unwrap();
    std::fs::remove_file(whole).unwrap();
}

#[test]
fn an_epoch_reads_the_file_that_it_opened() {
    let file = path("replaced.parquet");
    write_groups(&file);
    let stream = parquet_stream(&file, &["x"], &["y"], 5, Nulls::Error);
    let whole = shown(stream.epoch(0));
    let mut epoch = stream.epoch(0);
    assert_eq!(shown(epoch.by_ref().take(1)), whole[..1]);
    write_parquet(&df!["x" => [7], "y" => [7]].unwrap(), &file).unwrap();
    assert_eq!(shown(epoch), whole[1..]);
    assert_eq!(stream.epoch(1).count(), 1);
    std::fs::remove_file(file).unwrap();
}

/// Writes 21 rows of texts, categories, missing numbers and targets in groups of 7.
fn write_mixed(file: &std::path::Path) -> DataFrame {
    let colors: Vec<Option<&str>> =
        (0..21).map(|i| [Some("red"), None, Some("blue"), Some("grün")][i % 4]).collect();
    let sizes: Vec<Option<i64>> = (0..21).map(|i| (i % 5 != 3).then_some(i)).collect();
    let prices: Vec<f64> = (0..21).map(|i| i as f64 + 10.0 * (i % 4 == 2) as i64 as f64).collect();
    let mut frame = df!["price" => prices, "color" => &colors, "size" => sizes].unwrap();
    let categories = Categories::global();
    let kind = frame.column("color").unwrap().cast(&DataType::from_categories(categories)).unwrap();
    frame.with_column(kind.with_name("kind".into())).unwrap();
    let written = std::fs::File::create(file).unwrap();
    ParquetWriter::new(written).with_row_group_size(Some(7)).finish(&mut frame).unwrap();
    frame
}

#[test]
fn frames_of_a_file_have_its_types_texts_and_missing_values() {
    let file = path("mixed.parquet");
    let whole = write_mixed(&file);
    for rows in [1, 3, 7, 100] {
        let frames = parquet_frames(&file, &["size", "color", "kind"], rows);
        let all = frames.epoch(0).collect::<Result<Vec<_>>>().unwrap();
        assert_eq!(all.len(), 3 * 7usize.div_ceil(rows));
        let mut start = 0;
        for (i, frame) in all.iter().enumerate() {
            assert_eq!(frame.get_column_names(), ["size", "color", "kind"]);
            let want = whole.slice(start as i64, frame.height());
            start += frame.height();
            for column in ["size", "color"] {
                let (have, want) = (frame.column(column).unwrap(), want.column(column).unwrap());
                assert!(have.equals_missing(want), "{rows} rows, frame {i}, {column}");
            }
            assert!(frame.column("kind").unwrap().dtype().is_categorical());
            assert_eq!(frame.texts("kind").unwrap(), want.texts("color").unwrap());
            let mask = frame.mask("size").unwrap().to_vec::<bool>().unwrap();
            assert_eq!(mask, want.mask("size").unwrap().to_vec::<bool>().unwrap());
            let sizes = frame.tensor("size", Nulls::Value(-1.0)).unwrap();
            assert_eq!(sizes.dtype(), I64);
            let rest = frames.epoch_from(1, i).next().unwrap().unwrap();
            assert!(rest.equals_missing(frame), "{rows} rows, from frame {i}");
        }
        assert_eq!(start, 21);
        assert_eq!(frames.epoch_from(0, all.len()).count(), 0);
    }
    let all = parquet_frames(&file, &[], 100).epoch(0).next().unwrap().unwrap();
    assert_eq!(all.get_column_names(), ["price", "color", "size", "kind"]);
    let error = |columns: &[&str], rows| {
        parquet_frames(&file, columns, rows).epoch(0).next().unwrap().unwrap_err().to_string()
    };
    assert!(error(&["size"], 0).contains("at least 1 row, got 0"));
    assert!(error(&["weight"], 1).contains("mixed.parquet: "), "{}", error(&["weight"], 1));
    std::fs::remove_file(file).unwrap();
}

#[test]
fn a_model_learns_from_texts_and_missing_values_of_a_stream() {
    let file = path("learn.parquet");
    write_mixed(&file);
    let frames = parquet_frames(&file, &["color", "size", "price"], 4);
    let mut colors = Vec::new();
    for frame in &frames {
        colors.extend(frame.unwrap().texts("color").unwrap());
    }
    let lookup = StringLookup::fit(&colors, None);
    let batches = frames.try_map(move |frame| {
        let color = lookup.one_hot(&frame.texts("color")?);
        let size = frame.matrix(&["size"], Nulls::Value(0.0))?;
        let known = frame.mask("size")?.to(F32).reshape([frame.height(), 1]);
        let x = concat([color, size / 21.0, known], 1);
        Ok(data::Batch { x, y: frame.matrix(&["price"], Nulls::Error)? / 31.0 })
    });
    let model = nn::input("x", dims![_, 6]).dense(1);
    let trainer = || Trainer::new(&model, loss::mse, optim::adam(0.05)).quiet();
    let trained = trainer().run(&batches, epochs(60)).unwrap();
    assert!(trained.loss < 0.01, "{}", trained.loss);
    let ahead = trainer().run(&batches.prefetch(3), epochs(60)).unwrap();
    assert_eq!(ahead.loss, trained.loss);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn times_are_not_rounded_to_f32() {
    let times = frame(Series::new("t".into(), vec![1_700_000_000_000_001i64]));
    let dtype = DataType::Datetime(TimeUnit::Microseconds, None);
    let column = times.column("t").unwrap().cast(&dtype).unwrap();
    let times = DataFrame::new_infer_height(vec![column]).unwrap();
    let whole = times.tensor("t", Nulls::Error).unwrap().to_vec::<i64>().unwrap();
    assert_eq!(whole, [1_700_000_000_000_001]);
    let error = times.matrix(&["t"], Nulls::Error).unwrap_err().to_string();
    assert!(error.contains("column `t`") && error.contains("f32 does not hold"), "{error}");
}

#[test]
fn tensors_become_columns_and_tensors_again() {
    let x = Tensor::from_vec(vec![1.5f32, f32::NAN, -0.0], [3]);
    let tensors = [
        x.clone(),
        x.to(F64),
        tensor([1, 0, 1]).to(BOOL),
        tensor([1, 2, 3]).to(U16),
        tensor([-1, 2, 3]).to(I64),
    ];
    for tensor in &tensors {
        let back = frame_of(&[("x", tensor)]).unwrap().tensor("x", Nulls::Error).unwrap();
        assert_eq!(back.ty().unwrap(), tensor.ty().unwrap());
        assert_eq!(back.to_bytes().unwrap(), tensor.to_bytes().unwrap());
    }
    let e = frame_of(&[("x", &x), ("y", &Tensor::zeros([2]))]).unwrap_err().to_string();
    assert!(e.starts_with("dataframe: "), "{e}");
    let e = frame_of(&[("x", &Tensor::zeros([2, 2, 2]))]).unwrap_err().to_string();
    assert!(e.contains("[rows] or [rows, columns], got f32[2, 2, 2]"), "{e}");
    let e = frame_of(&[("x", &x.to(C64))]).unwrap_err().to_string();
    assert!(e.contains("no column has the dtype c64"), "{e}");
    assert!(frame_of(&[("x", &(Tensor::zeros(2) + Tensor::zeros(3)))]).is_err());
}

#[test]
fn predictions_are_appended() {
    let frame = df!["id" => ["a", "b"]].unwrap();
    let both = frame.with_tensor("p", &tensor([[0.25, 0.75], [0.5, 0.5]])).unwrap();
    assert_eq!(both.get_column_names(), ["id", "p_0", "p_1"]);
    let again = both.with_tensor("p_0", &tensor([[1.0], [2.0]])).unwrap();
    assert_eq!(
        again.matrix(&["p_0", "p_1"], Nulls::Error).unwrap().to_vec::<f32>().unwrap(),
        [1.0, 0.75, 2.0, 0.5]
    );
    let e = frame.with_tensor("p", &tensor([1.0])).unwrap_err().to_string();
    assert!(e.contains("column `p`: expected 2 rows, got 1"), "{e}");
}

#[test]
fn a_model_learns_from_a_frame_and_from_a_stream() {
    let x = key(0).uniform([400]);
    let frame = frame_of(&[("x", &x), ("y", &(&x * 3.0 - 1.0))]).unwrap();
    let file = path("train.parquet");
    write_parquet(&frame, &file).unwrap();
    let set = read_parquet(&file).unwrap().dataset(&["x"], &["y"], Nulls::Error).unwrap();
    let model = nn::input("x", dims![_, 1]).dense(1);
    let trainer = || Trainer::new(&model, loss::mse, optim::adam(0.1)).quiet();
    let of_set = trainer().run(&set.batched(40), epochs(30)).unwrap();
    let stream = parquet_stream(&file, &["x"], &["y"], 40, Nulls::Error);
    let of_stream = trainer().run(&stream, epochs(30)).unwrap();
    assert!(of_set.loss < 0.01, "{}", of_set.loss);
    assert_eq!(of_stream.loss, of_set.loss);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn files_are_written_and_errors_name_them() {
    let (csv, parquet) = (path("a.csv"), path("a.parquet"));
    let frame = df!["n" => [Some(1i64), None], "t" => ["x", "y,z"]].unwrap();
    write_csv(&frame, &csv).unwrap();
    assert!(read_csv(&csv).unwrap().equals_missing(&frame));
    write_parquet(&frame, &parquet).unwrap();
    write_parquet(&frame, &parquet).unwrap();
    assert!(read_parquet(&parquet).unwrap().equals_missing(&frame));
    for missing in [read_csv("/nowhere/a.csv"), read_parquet("/nowhere/a.parquet")] {
        assert!(missing.unwrap_err().message().contains("/nowhere/a."));
    }
    assert!(read_parquet(&csv).unwrap_err().message().contains("a.csv"));
    assert!(write_csv(&frame, "/nowhere/b.csv").unwrap_err().message().contains("/nowhere/b.csv"));
    let lines: Vec<_> = std::fs::read_dir(std::env::temp_dir()).unwrap().flatten().collect();
    let own = format!("neurax-frames-{}", std::process::id());
    let is_part = |name: String| name.starts_with(&own) && name.ends_with(".part");
    assert!(!lines.iter().any(|e| is_part(e.file_name().to_string_lossy().into_owned())));
    let none = parquet_stream(&parquet, &["n"], &["n"], 0, Nulls::Error).epoch(0).next();
    assert!(none.unwrap().unwrap_err().message().contains("at least 1 row, got 0"));
    let stream = parquet_stream(&parquet, &["z"], &["n"], 1, Nulls::Error).epoch(0).next();
    assert!(stream.unwrap().is_err());
}

#[test]
fn a_failed_write_leaves_the_old_file() {
    let file = path("kept.csv");
    write_csv(&df!["n" => [1]].unwrap(), &file).unwrap();
    let lists = Series::new("l".into(), [Series::new("".into(), [1, 2])]);
    let error = write_csv(&frame(lists), &file).unwrap_err().to_string();
    assert!(error.starts_with("dataframe: ") && error.contains("kept.csv: "), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "n\n1\n");
    std::fs::remove_file(file).unwrap();
}
