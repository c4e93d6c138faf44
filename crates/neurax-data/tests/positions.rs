//! The law of all streams: an epoch from item `n` on is the rest of the epoch, whatever the number
//! of threads, and equal epochs have equal items.

use flate2::{Compression, write::GzEncoder};
use neurax::data::Stream;
use neurax::io::{npy, npz, safetensors};
use neurax::prelude::*;
use std::io::Write;

/// Returns streams that end in each of the combinators, with random access before it and without.
fn streams() -> Vec<(&'static str, Stream<Vec<i64>>)> {
    let mut all = Vec::new();
    for (is_indexed, numbers) in [(true, indexed()), (false, sequential())] {
        let one = |s: Stream<i64>| s.map(|x| vec![x]);
        let pairs = |s: Stream<(i64, i64)>| s.map(|(x, y)| vec![x, y]);
        let batches = |s: Stream<data::Batch>| s.try_map(|b| b.x.to_vec::<i64>());
        let lengths =
            |s: Stream<data::Batch<(Tensor, Tensor)>>| s.try_map(|b| b.x.1.to(I64).to_vec::<i64>());
        let examples = numbers.map(|x| (Tensor::full_of(I64, (), x), Tensor::full_of(I64, (), x)));
        let ragged = numbers.map(|x| {
            (Tensor::full_of(I64, [(x % 5) as usize + 1], x), Tensor::full_of(I64, (), x))
        });
        all.extend([
            ("map", one(numbers.map(|x| x * 2))),
            ("map_with_key", one(numbers.map_with_key(key(1), |k, x| x * 1000 + random(&k)))),
            ("filter", one(numbers.filter(|x| x % 3 != 0))),
            ("flat_map", one(numbers.flat_map(|x| Stream::from_vec(vec![x; (x % 4) as usize])))),
            ("take", one(numbers.take(7))),
            ("skip", one(numbers.skip(5))),
            ("repeat", one(numbers.repeat(3))),
            ("zip", pairs(numbers.zip(&numbers.skip(2)))),
            ("chain", one(numbers.chain(&numbers.take(4)))),
            ("interleave", one(Stream::interleave([numbers.take(3), numbers.clone()]))),
            ("chunks", numbers.chunks(4)),
            ("chunks_exact", numbers.chunks_exact(4)),
            ("windows", numbers.windows(3, 2)),
            ("windows with gaps", numbers.windows(2, 5)),
            ("batch", batches(examples.batch(4))),
            ("unbatch", batches(examples.batch(4).unbatch().batch(3))),
            ("padded_batch", batches(ragged.padded_batch(4, -1.0))),
            ("bucketed", batches(ragged.bucketed(&[2, 4], 3, -1.0))),
            ("bucketed_to_bounds", batches(ragged.bucketed_to_bounds(&[2, 5], 3, -1.0))),
            ("bucketed_exact", batches(ragged.bucketed_exact(&[2, 5], 3, -1.0))),
            ("with_lengths", lengths(ragged.with_lengths().padded_batch(4, 0.0))),
            ("shuffle_buffer", one(numbers.shuffle_buffer(key(2), 6))),
            ("cache", one(numbers.cache())),
            ("prefetch", one(numbers.prefetch(3))),
        ]);
        let shuffled = if is_indexed { numbers.clone() } else { numbers.cache() };
        let classes: Vec<usize> = (0..23).map(|i| usize::from(i % 4 == 0)).collect();
        let weights = (0..23).map(f64::from).collect();
        let fold = shuffled.k_fold(3, key(5)).unwrap().remove(1);
        let by_rest = |x: &i64| Ok(x % 3);
        let strata = numbers.split_stratified(0.6, by_rest, key(8));
        let of_strata = numbers.k_fold_stratified(3, by_rest, key(8)).unwrap().remove(1);
        all.extend([
            ("shuffle", one(shuffled.shuffle(key(3)))),
            ("weighted", one(shuffled.weighted(key(4), weights, 30))),
            ("stratified", one(shuffled.stratified(key(4), classes))),
            ("split", one(shuffled.split(0.6, key(6)).train)),
            ("k_fold", one(fold.train)),
            ("split_stratified", one(strata.train)),
            ("k_fold_stratified, train", one(of_strata.train)),
            ("k_fold_stratified, test", one(of_strata.test)),
            ("several", shuffled.shuffle(key(7)).filter(|x| x % 2 == 1).prefetch(2).chunks(3)),
        ]);
    }
    all
}

/// Returns 23 numbers that depend on the epoch, with random access.
fn indexed() -> Stream<i64> {
    Stream::range(0..23).shuffle(key(0)).map(|x| x as i64)
}

/// Returns 23 numbers that depend on the epoch, read from front to back.
fn sequential() -> Stream<i64> {
    Stream::from_epochs(|epoch| Ok((0..23).map(move |i| Ok((i * 7 + epoch as i64) % 23))))
}

/// Returns a number below 100 that depends on the key.
fn random(key: &Key) -> i64 {
    key.randint((), 0..100).item().unwrap() as i64
}

fn items(stream: &Stream<Vec<i64>>, epoch: usize, first: usize) -> Vec<Vec<i64>> {
    stream.epoch_from(epoch, first).collect::<Result<_>>().unwrap()
}

#[test]
fn an_epoch_from_an_item_on_is_the_rest_of_the_epoch() {
    for (name, stream) in streams() {
        for epoch in [0, 3] {
            let whole = items(&stream, epoch, 0);
            assert!(!whole.is_empty(), "{name}");
            assert!(stream.len().is_none_or(|len| len == whole.len()), "{name}");
            for first in 0..whole.len() + 2 {
                let rest = &whole[first.min(whole.len())..];
                assert_eq!(items(&stream, epoch, first), rest, "{name}, item {first}");
            }
        }
    }
}

/// Returns streams of files, each with 23 items, and whether the stream has random access.
fn files() -> Vec<(&'static str, Stream<Vec<i64>>, bool)> {
    let path = |name: &str| {
        std::env::temp_dir().join(format!("neurax-positions-{}-{name}", std::process::id()))
    };
    let x = Tensor::arange(46).reshape([23, 2]);
    let numbers = |rows: Stream<Tensor>| rows.try_map(|row| row.to(I64).to_vec::<i64>());
    npy::save(&x, path("npy")).unwrap();
    npz::save(&x, path("npz")).unwrap();
    npz::save_compressed(&x, path("z.npz")).unwrap();
    safetensors::save(&x, path("safetensors")).unwrap();
    let bytes =
        [&[0, 0, 8, 2, 0, 0, 0, 23, 0, 0, 0, 2][..], &(0..46).collect::<Vec<u8>>()].concat();
    std::fs::write(path("idx"), &bytes).unwrap();
    let mut zipped = GzEncoder::new(Vec::new(), Compression::fast());
    zipped.write_all(&bytes).unwrap();
    std::fs::write(path("idx.gz"), zipped.finish().unwrap()).unwrap();
    let lines: String = (0..23).map(|i| format!("[{i}, {}]\n", 2 * i)).collect();
    std::fs::write(path("jsonl"), "\u{feff}".to_owned() + &lines).unwrap();
    let folder = path("cifar");
    std::fs::create_dir_all(&folder).unwrap();
    for (name, count) in [("train.bin", 1), ("test.bin", 23)] {
        let records = (0..count).flat_map(|i| [i; 3074]);
        std::fs::write(folder.join(name), records.collect::<Vec<u8>>()).unwrap();
    }
    let cifar = data::cifar100_stream(&folder).unwrap().test;
    let classes = cifar.try_map(|(x, y)| {
        let sum = (x.sum(..) * (255.0 / 3072.0)).round().item()?;
        Ok(vec![y.argmax(-1).item()? as i64, sum as i64])
    });
    vec![
        ("npy", numbers(data::npy_rows(path("npy")).unwrap()), true),
        ("npz", numbers(data::npz_rows(path("npz"), "arr_0").unwrap()), true),
        ("z.npz", numbers(data::npz_rows(path("z.npz"), "arr_0").unwrap()), false),
        ("safetensors", numbers(data::safetensors_rows(path("safetensors"), "").unwrap()), true),
        ("idx", numbers(data::idx_rows(path("idx")).unwrap()), true),
        ("idx.gz", numbers(data::idx_rows(path("idx.gz")).unwrap()), false),
        ("cifar", classes, true),
        ("jsonl", data::json_lines::<Vec<i64>>(path("jsonl")), false),
    ]
}

#[test]
fn an_epoch_of_a_file_from_an_item_on_is_the_rest_of_the_epoch() {
    for (name, stream, is_indexed) in files() {
        assert_eq!(stream.has_random_access(), is_indexed, "{name}");
        let whole = items(&stream, 0, 0);
        assert_eq!(whole.len(), 23, "{name}");
        assert!(stream.len().is_none_or(|len| len == 23), "{name}");
        assert!(name == "jsonl" || stream.len() == Some(23), "{name}");
        for first in 0..25 {
            let rest = &whole[first.min(23)..];
            assert_eq!(items(&stream, 1, first), rest, "{name}, item {first}");
        }
        for workers in [1, 4] {
            assert_eq!(items(&stream.prefetch(workers), 0, 9), whole[9..], "{name}, {workers}");
        }
        let shuffled = stream.shuffle_buffer(key(1), 8);
        let whole = items(&shuffled, 2, 0);
        assert_eq!(items(&shuffled, 2, 3), whole[3..], "{name}");
    }
}

#[test]
fn threads_change_neither_order_nor_positions() {
    for (name, stream) in streams() {
        let whole = items(&stream, 2, 0);
        for workers in [1, 2, 5] {
            let ahead = stream.prefetch(workers);
            for first in [0, 1, whole.len() / 2, whole.len()] {
                assert_eq!(items(&ahead, 2, first), whole[first..], "{name}, {workers} workers");
            }
        }
    }
}

#[test]
fn an_iterator_knows_its_position() {
    for (name, stream) in streams() {
        let mut epoch = stream.epoch_from(1, 2);
        epoch.next();
        let rest = items(&stream, 1, epoch.position());
        assert_eq!(epoch.collect::<Result<Vec<_>>>().unwrap(), rest, "{name}");
    }
}

/// Returns streams with an error among their items, which is known when the items are read.
fn failing() -> Vec<(&'static str, Stream<i64>)> {
    let broken = || Error::new("read", "broken");
    let lines = Stream::from_epochs(move |_| {
        Ok((0..23).map(move |i| if i == 9 { Err(broken()) } else { Ok(i) }))
    });
    let ahead = indexed().try_map(|x| if x == 5 { Err(Error::new("f", "bad")) } else { Ok(x) });
    let ahead = ahead.prefetch(2);
    let missing = || Stream::from_epochs(|_| -> Result<Vec<_>> { Err(Error::new("open", "none")) });
    let files = Stream::range(0..4).flat_map(move |i| match i {
        1 => missing(),
        _ => sequential(),
    });
    let set = Dataset::new(Tensor::arange(23), Tensor::arange(23)).unwrap();
    let batches = set.batched(5).stream().try_map(|batch| match batch.x.min(..).item()? {
        10.0 => Err(Error::new("batch", "broken")),
        _ => Ok(batch),
    });
    let batches = batches.unbatch().try_map(|(x, _)| Ok(x.item()? as i64));
    vec![("lines", lines), ("prefetch", ahead), ("files", files), ("unbatch", batches)]
}

#[test]
fn an_error_in_front_of_a_position_is_not_skipped() {
    for (source, numbers) in failing() {
        let one = |s: Stream<i64>| s.map(|x| vec![x]);
        for (name, stream) in [
            ("itself", one(numbers.clone())),
            ("map", one(numbers.map(|x| x + 1))),
            ("filter", one(numbers.filter(|x| x % 3 != 0))),
            ("flat_map", one(numbers.flat_map(|x| Stream::from_vec(vec![x, x])))),
            ("skip", one(numbers.skip(2))),
            ("repeat", one(numbers.filter(|_| true).repeat(2))),
            ("zip", one(numbers.zip(&sequential()).map(|(x, _)| x))),
            ("chain", one(numbers.filter(|_| true).chain(&sequential()))),
            ("interleave", one(Stream::interleave([sequential(), numbers.clone()]))),
            ("chunks", numbers.chunks(4)),
            ("chunks_exact", numbers.chunks_exact(60)),
            ("windows", numbers.windows(3, 2)),
            ("windows with gaps", numbers.windows(2, 25)),
            ("shuffle_buffer", one(numbers.shuffle_buffer(key(2), 6))),
            ("prefetch", one(numbers.prefetch(2))),
        ] {
            // `prefetch` meets the errors of what it computes. These start it at the front.
            let from_front =
                ["filter", "flat_map", "repeat", "chain", "interleave", "shuffle_buffer"];
            let is_met = source != "prefetch" || from_front.contains(&name);
            for first in if is_met { vec![0, 1, 11, 25, 80] } else { vec![0] } {
                let last = stream.epoch_from(0, first).last();
                assert!(last.is_some_and(|item| item.is_err()), "{source}, {name}, item {first}");
            }
        }
    }
}

#[test]
fn a_bad_line_in_front_of_a_position_is_an_error() {
    let path = std::env::temp_dir().join(format!("neurax-positions-{}.csv", std::process::id()));
    // The first 100 lines are checked when the file is opened.
    let bad = |i: usize| if i == 115 { "x".into() } else { i.to_string() };
    let lines: String = (0..150).map(|i| format!("{},{i}\n", bad(i))).collect();
    std::fs::write(&path, format!("a,b\n{lines}")).unwrap();
    let examples = data::csv(&path).target("b").stream(10).unbatch();
    for (first, count) in [(0, 111), (109, 2), (110, 1), (125, 1), (149, 1), (200, 1)] {
        let items: Vec<_> = examples.epoch_from(0, first).collect();
        assert_eq!(items.len(), count, "item {first}");
        let error = items[count - 1].as_ref().unwrap_err().to_string();
        assert!(error.contains("line 117, column `a`"), "{error}");
    }
    std::fs::remove_file(path).unwrap();
}
