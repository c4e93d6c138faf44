//! `TfIdfVectorizer`: counts n-grams of a sequence of words or numbers.
//!
//! An n-gram is `n` entries at equal distances: with one skipped between neighbours, the 2-grams of
//! `a b c d` are `a c` and `b d`. The pool lists those that are counted.

use super::axes::size_of;
use super::shapes::shape_of;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail, one};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Tensor};
use std::collections::HashMap;
use std::hash::Hash;
use std::ops::RangeInclusive;

pub(crate) const OPERATORS: &[Operator] = &[op("TfIdfVectorizer", &[9], 1..=1, vectorize)
    .attributes(&[
        "max_gram_length",
        "max_skip_count",
        "min_gram_length",
        "mode",
        "ngram_counts",
        "ngram_indexes",
        "pool_int64s",
        "pool_strings",
        "weights",
    ])];

/// The largest number of columns: a file must not be able to ask for all memory.
const MOST_COLUMNS: i64 = 1 << 26;

fn vectorize(c: &NodeCall) -> RuleOutcome {
    let shape = shape_of(c.value(0)?)?;
    let places = places(c)?;
    let width = places.iter().map(|place| place.column + 1).max().unwrap_or(0);
    let (rows, length, sizes) = match shape[..] {
        [] => (1, 1, vec![width]),
        [length] => (1, length, vec![width]),
        [rows, length] => (rows, length, vec![rows, width]),
        _ => return fail(format!("expected at most two axes, got shape {shape:?}")),
    };
    let table = NgramTable { places, mode: CountMode::read(c)?, width, length, rows };
    let counts = match (c.value(0)?, c.strs("pool_strings")?, c.ints("pool_int64s")?) {
        (OnnxValue::Strings(x), Some(pool), None) => table.count(c, &pool, x.elements())?,
        (OnnxValue::Tensor(x), None, Some(pool)) if x.dtype().is_int() => {
            table.count(c, pool, &c.known(0)?.to(DType::I64).to_vec()?)?
        }
        (x, ..) => return fail(format!("expected one pool, of the type of {}", x.kind())),
    };
    one(Tensor::from_vec(counts, sizes))
}

/// The place of an n-gram in the result.
#[derive(Clone, Copy, Debug)]
struct CountPlace {
    column: usize,
    weight: f32,
}

/// Returns the places of the n-grams of the pool. Without weights, all are 1.
fn places(c: &NodeCall) -> Result<Vec<CountPlace>, RuleFailure> {
    let columns = c.required("ngram_indexes", c.ints("ngram_indexes")?)?;
    if let Some(i) = columns.iter().find(|&&i| !(0..MOST_COLUMNS).contains(&i)) {
        return fail(format!("expected columns as `ngram_indexes`, got {i}"));
    }
    let weights = c.floats("weights")?.unwrap_or_default();
    if !weights.is_empty() && weights.len() != columns.len() {
        return fail(format!("expected {} weights, got {}", columns.len(), weights.len()));
    }
    let weight = |i: usize| weights.get(i).copied().unwrap_or(1.0);
    let place =
        |(i, &column): (usize, &i64)| CountPlace { column: column as usize, weight: weight(i) };
    Ok(columns.iter().enumerate().map(place).collect())
}

/// The number that stands for an n-gram.
#[derive(Clone, Copy, Debug)]
enum CountMode {
    /// The number of times that an n-gram is found.
    Frequency,
    /// The weight of each n-gram that is found.
    Weight,
    /// The number of times that an n-gram is found, times its weight.
    Product,
}

impl CountMode {
    fn read(c: &NodeCall) -> Result<CountMode, RuleFailure> {
        match c.required("mode", c.str("mode")?)?.as_str() {
            "TF" => Ok(CountMode::Frequency),
            "IDF" => Ok(CountMode::Weight),
            "TFIDF" => Ok(CountMode::Product),
            other => fail(format!("expected TF, IDF or TFIDF as mode, got `{other}`")),
        }
    }

    /// Counts an n-gram that was found.
    fn count(self, entry: &mut f32, weight: f32) {
        match self {
            CountMode::Frequency => *entry += 1.0,
            CountMode::Weight => *entry = weight,
            CountMode::Product => *entry += weight,
        }
    }
}

/// The table of counts: its columns, and the rows of entries that are counted.
struct NgramTable {
    places: Vec<CountPlace>,
    mode: CountMode,
    width: usize,
    length: usize,
    rows: usize,
}

impl NgramTable {
    fn count<T: Hash + Eq>(
        &self,
        c: &NodeCall,
        pool: &[T],
        entries: &[T],
    ) -> Result<Vec<f32>, RuleFailure> {
        let sizes = sizes(c)?;
        let known = self.known_grams(c, pool)?;
        let skips = size_of(c.required("max_skip_count", c.int("max_skip_count")?)?)?;
        let Some(total) = self.rows.checked_mul(self.width) else {
            return fail(format!("a table of {} x {} counts is too large", self.rows, self.width));
        };
        let mut counts = vec![0.0; total];
        if total == 0 || self.length == 0 {
            return Ok(counts);
        }
        // Entries further apart than a row is long are in no n-gram.
        let distances = 1..=skips.saturating_add(1).min(self.length);
        for (row, entries) in counts.chunks_mut(self.width).zip(entries.chunks(self.length)) {
            for distance in distances.clone() {
                // The distance of neighbours has no part in 1-grams: they are counted once.
                for size in sizes.clone().filter(|&n| n > 1 || distance == 1) {
                    for start in 0..self.length {
                        let gram = entries[start..].iter().step_by(distance).take(size);
                        let gram: Vec<&T> = gram.collect();
                        // At the end of a row, too few entries may be left.
                        if let Some(place) = known.get(&gram).filter(|_| gram.len() == size) {
                            self.mode.count(&mut row[place.column], place.weight);
                        }
                    }
                }
            }
        }
        Ok(counts)
    }

    /// Returns the places of the n-grams of the pool that are counted. `ngram_counts` has the
    /// starts of the 1-grams, of the 2-grams and so on in the pool.
    fn known_grams<'p, T: Hash + Eq>(
        &self,
        c: &NodeCall,
        pool: &'p [T],
    ) -> Result<HashMap<Vec<&'p T>, CountPlace>, RuleFailure> {
        let starts = c.required("ngram_counts", c.ints("ngram_counts")?)?;
        let mut known = HashMap::new();
        let mut places = self.places.iter();
        for (i, &start) in starts.iter().enumerate() {
            let end = starts.get(i + 1).map_or(Ok(pool.len()), |&end| size_of(end))?;
            let Some(part) = pool.get(size_of(start)?..end) else {
                return fail(format!("`ngram_counts` {starts:?} does not fit the pool"));
            };
            for gram in part.chunks_exact(i + 1) {
                let Some(&place) = places.next() else {
                    return fail("expected an entry of `ngram_indexes` for each n-gram");
                };
                known.insert(gram.iter().collect(), place);
            }
        }
        Ok(known)
    }
}

/// Returns the sizes of the n-grams that are counted, up to those of the pool.
fn sizes(c: &NodeCall) -> Result<RangeInclusive<usize>, RuleFailure> {
    let of = |name| size_of(c.required(name, c.int(name)?)?);
    let (least, most) = (of("min_gram_length")?, of("max_gram_length")?);
    let largest = c.ints("ngram_counts")?.map_or(0, <[i64]>::len);
    match least >= 1 && least <= most {
        true => Ok(least..=most.min(largest)),
        false => fail(format!("expected lengths of n-grams, got {least} to {most}")),
    }
}
