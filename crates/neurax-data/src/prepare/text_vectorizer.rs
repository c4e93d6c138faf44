//! Texts as word indices, counts of words, or TF-IDF weights.

use super::string_lookup::WordCounts;
use crate::json_file::{read_json, write_json};
use neurax_tensor::{Error, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// The kind of the file.
const TEXT_VECTORIZER_KIND: &str = "text vectorizer";

/// The index of padding behind the last word.
const PADDING: usize = 0;
/// The index of all words that were not fitted.
const UNKNOWN_WORD: usize = 1;
/// The index of the most frequent word.
const FIRST_WORD: usize = 2;

/// Texts as vectors. A text is divided into words: in lower case, without punctuation, separated by
/// white space. Index 0 is padding, 1 an unknown word; the fitted words have the indices 2, 3, ..,
/// the most frequent one first.
///
/// ```
/// use neurax::{data::prepare::TextVectorizer, prelude::*};
/// let texts = ["The cat sat.", "The dog, the cat!"];
/// let words = TextVectorizer::fit(texts, Some(3));
/// assert_eq!(words.words(), ["the", "cat", "dog"]);
/// let indices = words.indices(["the bird sat on the cat"], 4);
/// assert_eq!(indices.to_vec::<i32>()?, [2, 1, 1, 1]);
/// assert_eq!(words.counts(["the cat the bird"]).to_vec::<f32>()?, [0.0, 1.0, 2.0, 1.0, 0.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextVectorizer {
    vocabulary: TextVocabulary,
    indices: HashMap<String, usize>,
}

/// The fitted values of a [`TextVectorizer`].
#[derive(Clone, Debug, Serialize, Deserialize)]
struct TextVocabulary {
    words: Vec<String>,
    /// The number of texts that contain each word.
    texts_with: Vec<usize>,
    /// The number of texts.
    texts: usize,
}

impl TextVectorizer {
    /// Finds the words of texts, and keeps the `most` most frequent ones, if there is a limit.
    pub fn fit<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        most: Option<usize>,
    ) -> TextVectorizer {
        let mut counts = TextCounts::default();
        texts.into_iter().for_each(|text| counts.add(text.as_ref()));
        counts.vectorizer(most)
    }

    /// Finds the words of a stream of texts, as [`TextVectorizer::fit`]. All distinct words are in
    /// memory, also those beyond `most`.
    ///
    /// # Errors
    /// The errors of the stream.
    ///
    /// ```
    /// use neurax::{data::prepare::TextVectorizer, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-text-stream.txt");
    /// std::fs::write(&path, "the cat\nthe dog\n")?;
    /// let words = TextVectorizer::fit_parts(data::text_lines(&path).epoch(0), Some(2))?;
    /// assert_eq!(words.words(), ["the", "cat"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn fit_parts<S: AsRef<str>>(
        texts: impl IntoIterator<Item = Result<S>>,
        most: Option<usize>,
    ) -> Result<TextVectorizer> {
        let mut counts = TextCounts::default();
        for text in texts {
            counts.add(text?.as_ref());
        }
        Ok(counts.vectorizer(most))
    }

    /// Returns the fitted words, in the order of their indices from 2 on.
    pub fn words(&self) -> &[String] {
        &self.vocabulary.words
    }

    /// Returns the number of indices: one for each word, and those of padding and of unknown words.
    pub fn len(&self) -> usize {
        self.vocabulary.words.len() + FIRST_WORD
    }

    /// Returns true if there are no indices, which is never so.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Returns the words of a text as indices.
    ///
    /// ```
    /// use neurax::data::prepare::TextVectorizer;
    /// let words = TextVectorizer::fit(["a b", "a"], None);
    /// assert_eq!(words.text_indices("b, a? c!"), [3, 2, 1]);
    /// ```
    pub fn text_indices(&self, text: &str) -> Vec<usize> {
        let index = |word: &String| self.indices.get(word).copied().unwrap_or(UNKNOWN_WORD);
        words_of(text).iter().map(index).collect()
    }

    /// Returns the words of texts as indices, i32[n, length]: the first `length` words of each
    /// text, padded with 0.
    pub fn indices<S: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = S>,
        length: usize,
    ) -> Tensor {
        let (mut list, mut count) = (Vec::new(), 0);
        for text in texts {
            if list.try_reserve(length).is_err() {
                return out_of_memory(count, length);
            }
            let words = self.text_indices(text.as_ref());
            let padded = words.into_iter().chain(std::iter::repeat(PADDING)).take(length);
            list.extend(padded.map(|i| i as i32));
            count += 1;
        }
        Tensor::from_vec(list, [count, length])
    }

    /// Returns the number of times that each word occurs in each text, f32[n, len].
    pub fn counts<S: AsRef<str>>(&self, texts: impl IntoIterator<Item = S>) -> Tensor {
        self.rows(texts, |_, count| count)
    }

    /// Returns the counts of words, each multiplied by `ln((1 + n) / (1 + d)) + 1`, where `d` of
    /// the `n` fitted texts contain the word (TF-IDF): rare words weigh more. Unknown words have
    /// the weight of a word that is in no text. f32[n, len].
    ///
    /// ```
    /// use neurax::{data::prepare::TextVectorizer, prelude::*};
    /// let words = TextVectorizer::fit(["a b", "a c"], None);
    /// let weights = words.tf_idf(["a b"]).to_vec::<f32>()?;
    /// assert_eq!((weights[2], weights[3]), (1.0, (3.0f32 / 2.0).ln() + 1.0));
    /// # Ok::<(), Error>(())
    /// ```
    pub fn tf_idf<S: AsRef<str>>(&self, texts: impl IntoIterator<Item = S>) -> Tensor {
        let TextVocabulary { texts_with, texts: all, .. } = &self.vocabulary;
        self.rows(texts, |index, count| {
            // An unknown word is in none of the fitted texts.
            let with = index.checked_sub(FIRST_WORD).and_then(|i| texts_with.get(i)).unwrap_or(&0);
            let rarity = (1.0 + *all as f64) / (1.0 + *with as f64);
            (f64::from(count) * (rarity.ln() + 1.0)) as f32
        })
    }

    /// Writes the words to a file, as JSON.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        write_json(path.as_ref(), TEXT_VECTORIZER_KIND, &self.vocabulary)
    }

    /// Reads the words that [`TextVectorizer::save`] wrote.
    ///
    /// # Errors
    /// If the file cannot be read or holds something else.
    ///
    /// ```
    /// use neurax::{data::prepare::TextVectorizer, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-texts");
    /// TextVectorizer::fit(["a b", "a"], None).save(&path)?;
    /// assert_eq!(TextVectorizer::load(&path)?.words(), ["a", "b"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<TextVectorizer> {
        let vocabulary: TextVocabulary = read_json(path.as_ref(), TEXT_VECTORIZER_KIND)?;
        let (words, counts) = (vocabulary.words.len(), vocabulary.texts_with.len());
        if words != counts {
            let why = format!("expected a count for each of {words} words, got {counts}");
            return Err(Error::new("load", format!("{}: {why}", path.as_ref().display())));
        }
        Ok(TextVectorizer::of(vocabulary))
    }

    fn of(vocabulary: TextVocabulary) -> TextVectorizer {
        let indices = vocabulary.words.iter().cloned().zip(FIRST_WORD..).collect();
        TextVectorizer { vocabulary, indices }
    }

    /// Returns a row of weights for each text: `weight` of the index and the count of each word.
    fn rows<S: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = S>,
        weight: impl Fn(usize, f32) -> f32,
    ) -> Tensor {
        let (mut list, mut rows, width) = (Vec::new(), 0, self.len());
        for text in texts {
            let start = list.len();
            if list.try_reserve(width).is_err() {
                return out_of_memory(rows, width);
            }
            list.resize(start + width, 0.0);
            for index in self.text_indices(text.as_ref()) {
                list[start + index] += 1.0;
            }
            for (index, count) in list[start..].iter_mut().enumerate() {
                *count = weight(index, *count);
            }
            rows += 1;
        }
        Tensor::from_vec(list, [rows, width])
    }
}

/// The words of texts.
#[derive(Default)]
struct TextCounts {
    /// The number of times that each word occurs.
    words: WordCounts,
    /// The number of texts that contain each word.
    texts_with: WordCounts,
    /// The number of texts.
    texts: usize,
}

impl TextCounts {
    /// Counts the words of a text.
    fn add(&mut self, text: &str) {
        let words = words_of(text);
        words.iter().for_each(|word| self.words.add(word));
        let distinct: HashSet<&String> = words.iter().collect();
        distinct.into_iter().for_each(|word| self.texts_with.add(word));
        self.texts += 1;
    }

    /// Returns the vectorizer of the `most` most frequent words.
    fn vectorizer(self, most: Option<usize>) -> TextVectorizer {
        let words = self.words.most_frequent(most);
        let texts_with = words.iter().map(|word| self.texts_with.of(word)).collect();
        TextVectorizer::of(TextVocabulary { words, texts_with, texts: self.texts })
    }
}

/// Returns a tensor that carries the error that there is no memory for another row.
fn out_of_memory(rows: usize, width: usize) -> Tensor {
    let why = format!("not enough memory for row {rows} of {width} elements");
    Tensor::from_error(Error::new("text vectorizer", why))
}

/// Returns the words of a text: in lower case, without ASCII punctuation.
fn words_of(text: &str) -> Vec<String> {
    let plain: String = text.chars().filter(|c| !c.is_ascii_punctuation()).collect();
    plain.to_lowercase().split_whitespace().map(str::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use neurax_tensor::Tree;

    #[test]
    fn texts_are_padded_and_shortened() {
        let words = TextVectorizer::fit(["a b c", "b c", "c"], None);
        assert_eq!(words.words(), ["c", "b", "a"]);
        let indices = words.indices(["a", "", "c b a c"], 3).to_vec::<i32>().unwrap();
        assert_eq!(indices, [4, 0, 0, 0, 0, 0, 2, 3, 4]);
        assert_eq!(words.counts([""]).sum(..).item().unwrap(), 0.0);
        let e = words.indices(["a"], usize::MAX).ok().unwrap_err().to_string();
        assert!(e.contains("not enough memory for row 0"), "{e}");
    }

    #[test]
    fn a_saved_value_is_loaded() {
        let path = std::env::temp_dir().join(format!("neurax-texts-{}", std::process::id()));
        let words = TextVectorizer::fit(["Größe, größe", "Maß"], None);
        words.save(&path).unwrap();
        let loaded = TextVectorizer::load(&path).unwrap();
        assert_eq!(loaded.words(), ["größe", "maß"]);
        let weights = |w: &TextVectorizer| w.tf_idf(["größe neu"]).to_vec::<f32>().unwrap();
        assert_eq!(weights(&loaded), weights(&words));
        let bad = std::fs::read_to_string(&path).unwrap().replace("[1,1]", "[1]");
        std::fs::write(&path, bad).unwrap();
        assert!(TextVectorizer::load(&path).unwrap_err().message().contains("of 2 words, got 1"));
    }
}
