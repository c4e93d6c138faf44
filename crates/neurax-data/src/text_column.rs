//! Columns of texts in data sets.

use neurax_tensor::{Error, Result, Tensor, Tree};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A column of texts, such as names or sentences, as a part of a [`Dataset`](crate::Dataset): it is
/// split, selected and shuffled with the numbers of the same rows. Behind the split, its texts are
/// encoded by what was learned from the rows to train on, e.g. a
/// [`StringLookup`](crate::prepare::StringLookup).
///
/// The column keeps each distinct text once, in alphabetical order, and an index for each row. For
/// labels, these are the classes and their names.
///
/// ```
/// use neurax::{data::{TextColumn, prepare::StringLookup}, prelude::*};
/// let (ages, cities) = (tensor([31.0, 52.0, 40.0]), TextColumn::new(["Oslo", "Rome", "Oslo"]));
/// let labels = TextColumn::new(["yes", "no", "yes"]);
/// let set = Dataset::new((ages, cities), labels.indices.clone())?;
///
/// let part = set.select(&[2, 0]);
/// let (ages, cities) = &part.x;
/// assert_eq!((ages.to_vec::<f32>()?, cities.texts()?), (vec![40.0, 31.0], vec!["Oslo", "Oslo"]));
/// let lookup = StringLookup::fit(cities.texts()?, None); // knows nothing about Rome
/// assert_eq!(lookup.indices(set.x.1.texts()?).to_vec::<i32>()?, [1, 0, 1]);
/// assert_eq!(labels.names(), ["no", "yes"]);
/// assert_eq!(part.y.to_vec::<i32>()?, [1, 1]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Tree, Clone, Debug)]
pub struct TextColumn {
    /// The index of the text of each row in [`TextColumn::names`], `i32[n]`.
    pub indices: Tensor,
    #[tree(static)]
    names: Arc<Vec<String>>,
}

impl TextColumn {
    /// Creates a column of `texts`, one for each row.
    pub fn new<S: AsRef<str>>(texts: impl IntoIterator<Item = S>) -> TextColumn {
        let texts: Vec<S> = texts.into_iter().collect();
        let names: BTreeSet<&str> = texts.iter().map(S::as_ref).collect();
        let names: Vec<&str> = names.into_iter().collect();
        // Every text is in the list, so that it is found.
        let at = |text: &S| names.partition_point(|name| *name < text.as_ref()) as i32;
        let indices: Vec<i32> = texts.iter().map(at).collect();
        let names = Arc::new(names.iter().map(|name| name.to_string()).collect());
        TextColumn { indices: Tensor::from_vec(indices, [texts.len()]), names }
    }

    /// Returns the distinct texts of the column that was created, in alphabetical order: also those
    /// that none of the selected rows has.
    ///
    /// ```
    /// use neurax::data::TextColumn;
    /// assert_eq!(TextColumn::new(["b", "a", "b"]).names(), ["a", "b"]);
    /// ```
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the text of each row.
    ///
    /// # Errors
    /// The error that the indices carry, or if one of them is not that of a text.
    ///
    /// ```
    /// use neurax::{data::TextColumn, prelude::*};
    /// assert_eq!(TextColumn::new(["b", "a", "b"]).texts()?, ["b", "a", "b"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn texts(&self) -> Result<Vec<&str>> {
        let text = |i: i32| {
            let name = usize::try_from(i).ok().and_then(|i| self.names.get(i));
            name.map(String::as_str).ok_or_else(|| {
                let count = self.names.len();
                let why = format!("expected indices below {count}, the number of texts, got {i}");
                Error::new("text_column", why)
            })
        };
        self.indices.to_vec::<i32>()?.into_iter().map(text).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dataset;
    use neurax_tensor::{key, tensor};

    #[test]
    fn rows_of_texts_follow_those_of_tensors() {
        let texts: Vec<String> = (0..40).map(|i| format!("text {}", i % 7)).collect();
        let set = Dataset::new(TextColumn::new(&texts), Tensor::arange(40)).unwrap();
        let parts = set.split(0.7, key(0));
        let stream = set.stream().shuffle(key(1)).batch(40).epoch(0).next().unwrap().unwrap();
        let batch = set.shuffled(key(2)).batched(40).epoch(1).next().unwrap();
        for (column, rows) in [
            (&parts.train.x, &parts.train.y),
            (&parts.test.x, &parts.test.y),
            (&stream.x, &stream.y),
            (&batch.x, &batch.y),
        ] {
            let rows = rows.to_vec::<i32>().unwrap();
            let want: Vec<&String> = rows.iter().map(|&i| &texts[i as usize]).collect();
            assert_eq!(column.texts().unwrap(), want);
        }
    }

    #[test]
    fn indices_of_no_text_are_errors() {
        let column = TextColumn { indices: tensor([0, 2]), ..TextColumn::new(["a", "b"]) };
        let e = column.texts().unwrap_err().to_string();
        assert!(e.contains("expected indices below 2, the number of texts, got 2"), "{e}");
        assert!(TextColumn::new(Vec::<String>::new()).texts().unwrap().is_empty());
        assert!(set_error().x.texts().is_err());
    }

    /// Returns a set whose tensors carry an error.
    fn set_error() -> Dataset<TextColumn> {
        Dataset::new(TextColumn::new(["a"]), tensor([1])).unwrap().select(&[7])
    }
}
