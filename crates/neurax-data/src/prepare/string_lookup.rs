//! Strings as indices of a vocabulary.

use crate::json_file::{read_json, write_json};
use crate::one_hot;
use neurax_tensor::{Result, Tensor};
use std::collections::HashMap;
use std::path::Path;

/// The kind of the file.
const STRING_LOOKUP_KIND: &str = "string lookup";

/// Strings as indices: the names that were fitted have the indices 1, 2, .., the most frequent one
/// first; all others, and the empty string, have index 0.
///
/// ```
/// use neurax::{data::prepare::StringLookup, prelude::*};
/// let colors = StringLookup::fit(["red", "blue", "red", "", "green"], None);
/// assert_eq!(colors.names(), ["red", "blue", "green"]);
/// assert_eq!(colors.indices(["green", "pink", "red", ""]).to_vec::<i32>()?, [3, 0, 1, 0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct StringLookup {
    names: Vec<String>,
    indices: HashMap<String, usize>,
}

impl StringLookup {
    /// Finds the distinct names, and keeps the `most` most frequent ones, if there is a limit.
    /// Names of equal frequency are in alphabetical order.
    pub fn fit<S: AsRef<str>>(
        strings: impl IntoIterator<Item = S>,
        most: Option<usize>,
    ) -> StringLookup {
        let mut counts = WordCounts::default();
        strings.into_iter().for_each(|string| counts.add(string.as_ref()));
        StringLookup::new(counts.most_frequent(most))
    }

    /// Finds the distinct names of a stream of strings, as [`StringLookup::fit`]. All distinct
    /// names are in memory, also those beyond `most`.
    ///
    /// # Errors
    /// The errors of the stream.
    ///
    /// ```
    /// use neurax::{data::prepare::StringLookup, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-string-stream.txt");
    /// std::fs::write(&path, "red\nblue\nred\n")?;
    /// let colors = StringLookup::fit_parts(data::text_lines(&path).epoch(0), None)?;
    /// assert_eq!(colors.names(), ["red", "blue"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit_parts<S: AsRef<str>>(
        strings: impl IntoIterator<Item = Result<S>>,
        most: Option<usize>,
    ) -> Result<StringLookup> {
        let mut counts = WordCounts::default();
        for string in strings {
            counts.add(string?.as_ref());
        }
        Ok(StringLookup::new(counts.most_frequent(most)))
    }

    /// Creates a look-up of known names, in this order. A name that is repeated keeps its first
    /// index.
    ///
    /// ```
    /// use neurax::data::prepare::StringLookup;
    /// let lookup = StringLookup::new(["low", "high"]);
    /// assert_eq!((lookup.index("high"), lookup.index("other"), lookup.len()), (2, 0, 3));
    /// ```
    pub fn new<S: Into<String>>(names: impl IntoIterator<Item = S>) -> StringLookup {
        let (mut list, mut indices) = (Vec::new(), HashMap::new());
        for name in names.into_iter().map(Into::into) {
            if !name.is_empty() && !indices.contains_key(&name) {
                list.push(name.clone());
                indices.insert(name, list.len());
            }
        }
        StringLookup { names: list, indices }
    }

    /// Returns the names, in the order of their indices, without that of index 0.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns the number of indices: one for each name, and 0.
    pub fn len(&self) -> usize {
        self.names.len() + 1
    }

    /// Returns true if there are no indices, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the index of a string.
    pub fn index(&self, string: &str) -> usize {
        // Index 0 is that of unknown strings, by definition.
        self.indices.get(string).copied().unwrap_or(0)
    }

    /// Returns the indices of strings, `i32[n]`.
    pub fn indices<S: AsRef<str>>(&self, strings: impl IntoIterator<Item = S>) -> Tensor {
        let list: Vec<i32> = strings.into_iter().map(|s| self.index(s.as_ref()) as i32).collect();
        let count = list.len();
        Tensor::from_vec(list, [count])
    }

    /// Returns the indices of strings as one-hot rows, f32[n, len].
    ///
    /// ```
    /// use neurax::{data::prepare::StringLookup, prelude::*};
    /// let rows = StringLookup::new(["red", "blue"]).one_hot(["blue", "pink"]);
    /// assert_eq!(rows.to_vec::<f32>()?, [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn one_hot<S: AsRef<str>>(&self, strings: impl IntoIterator<Item = S>) -> Tensor {
        one_hot(strings.into_iter().map(|s| self.index(s.as_ref())), self.len())
    }

    /// Writes the names to a file, as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_json(path.as_ref(), STRING_LOOKUP_KIND, &self.names)
    }

    /// Reads the names that [`StringLookup::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or holds something else.
    ///
    /// ```
    /// use neurax::{data::prepare::StringLookup, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-strings");
    /// StringLookup::new(["low", "high"]).save(&path)?;
    /// assert_eq!(StringLookup::load(&path)?.names(), ["low", "high"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<StringLookup> {
        let names: Vec<String> = read_json(path.as_ref(), STRING_LOOKUP_KIND)?;
        Ok(StringLookup::new(names))
    }
}

/// The number of times that each string but the empty one occurs.
#[derive(Default)]
pub(super) struct WordCounts(HashMap<String, usize>);

impl WordCounts {
    /// Counts a string.
    pub(super) fn add(&mut self, string: &str) {
        match self.0.get_mut(string) {
            Some(count) => *count += 1,
            None if string.is_empty() => {}
            None => drop(self.0.insert(string.to_string(), 1)),
        }
    }

    /// Returns the number of times that a string occurs.
    pub(super) fn of(&self, string: &str) -> usize {
        self.0.get(string).copied().unwrap_or(0)
    }

    /// Returns the `most` most frequent strings; all without a limit. Those of equal frequency are
    /// in alphabetical order.
    pub(super) fn most_frequent(self, most: Option<usize>) -> Vec<String> {
        let mut names: Vec<(String, usize)> = self.0.into_iter().collect();
        names.sort_by(|(a, i), (b, j)| j.cmp(i).then_with(|| a.cmp(b)));
        names.truncate(most.unwrap_or(usize::MAX));
        names.into_iter().map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_frequent_names_are_kept() {
        let lookup = StringLookup::fit(["c", "b", "a", "b", "a", ""], Some(2));
        assert_eq!((lookup.names(), lookup.len()), (&["a".into(), "b".into()][..], 3));
        assert_eq!((lookup.index("c"), lookup.index("")), (0, 0));
        let path = std::env::temp_dir().join(format!("neurax-strings-{}", std::process::id()));
        lookup.save(&path).unwrap();
        assert_eq!(StringLookup::load(&path).unwrap().index("b"), 2);
        assert_eq!(StringLookup::new(["x", "x", "", "y"]).names(), ["x", "y"]);
    }
}
