//! Subword tokenizers of the crate `tokenizers`: those of files `tokenizer.json`, and byte-pair
//! tokenizers that are trained here.
//!
//! A byte-pair tokenizer (R. Sennrich et al., 2016) begins with the 256 bytes as its tokens, and
//! adds the most frequent pair of tokens as a new one until the vocabulary has its size. Every text
//! has tokens, so that none is unknown:
//!
//! ```text
//! bytes   t h e _ c a t _ t h e       pairs: (t, h) twice, (th, e) twice, ..
//! tokens  the _ c a t _ the
//! ```
//!
//! # Invariants
//!
//! - Padding and truncation of a file are not used: the caller states the length.
//! - A panic of the crate `tokenizers`, which a damaged file may cause, is an error.

use crate::json_file::replace_text;
use crate::panics::caught;
use neurax_tensor::io::read_file;
use neurax_tensor::{Error, Result, Tensor, Tree};
use std::path::Path;
use std::sync::Arc;
use tokenizers::models::TrainerWrapper;
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Encoding, PostProcessor, Tokenizer, TruncationDirection};

const TOKENIZER_OP: &str = "tokenizer";

/// The token of padding of a trained tokenizer, with the id 0.
const PADDING_TOKEN: &str = "<pad>";
/// The tokens of padding in files of common models.
const KNOWN_PADDING_TOKENS: [&str; 3] = [PADDING_TOKEN, "[PAD]", "<|pad|>"];
/// The least size of a vocabulary: all bytes and the token of padding.
const LEAST_VOCABULARY: usize = 257;

/// A subword tokenizer, which divides texts into tokens and gives each an id. Feature `tokenizers`.
///
/// ```
/// use neurax::{data::prepare::TextTokenizer, prelude::*};
/// let lines = ["the cat sat on the mat", "the dog sat on the log"];
/// let tokens = TextTokenizer::train(lines, 270, &["<end>"])?;
/// let batch = tokens.encode(["the cat", "the dog sat"], 8)?;
/// assert_eq!(batch.ids.shape(), [2, 8]);
/// assert_eq!(batch.mask.shape(), [2, 8]);
/// assert_eq!(tokens.decode(&batch.ids)?, ["the cat", "the dog sat"]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct TextTokenizer {
    tokenizer: Arc<Tokenizer>,
    padding: i32,
    /// The largest id and one.
    len: usize,
}

/// The tokens of several texts.
#[derive(Clone, Debug)]
pub struct EncodedTexts {
    /// The ids of the tokens, i32[n, length], padded behind the last one.
    pub ids: Tensor,
    /// True where `ids` is a token, false where it is padding: bool[n, length].
    pub mask: Tensor,
}

impl TextTokenizer {
    /// Reads a file `tokenizer.json` of Hugging Face, of any kind of tokenizer.
    ///
    /// # Errors
    /// If the file cannot be read or is no tokenizer.
    ///
    /// ```no_run
    /// use neurax::{data::prepare::TextTokenizer, prelude::*};
    /// let tokens = TextTokenizer::load("gpt2/tokenizer.json")?;
    /// println!("{:?}", tokens.ids("Hello")?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn load(path: impl AsRef<Path>) -> Result<TextTokenizer> {
        let path = path.as_ref();
        let in_file = |why: String| Error::new(TOKENIZER_OP, format!("{}: {why}", path.display()));
        let bytes = read_file(path).map_err(|e| in_file(e.to_string()))?;
        let parsed = caught(TOKENIZER_OP, || Tokenizer::from_bytes((*bytes).as_ref()));
        let parsed = parsed.map_err(|e| in_file(e.message().to_string()))?;
        let tokenizer = parsed.map_err(|e| in_file(format!("expected a tokenizer, got {e}")))?;
        TextTokenizer::of(tokenizer).map_err(|e| in_file(e.message().to_string()))
    }

    /// Trains a byte-pair tokenizer with a vocabulary of at most `vocabulary` tokens: fewer if the
    /// texts have no more pairs. The token `<pad>` has the id 0, and `special` tokens, such as
    /// `<end>`, the next ones; they are never divided. The result is a function of the texts.
    ///
    /// # Errors
    /// If `vocabulary` has no place for the 256 bytes and the special tokens, or a special token is
    /// empty or given twice.
    ///
    /// ```
    /// use neurax::{data::prepare::TextTokenizer, prelude::*};
    /// let tokens = TextTokenizer::train(["abab abab"], 259, &[])?;
    /// assert_eq!(tokens.len(), 259);
    /// assert_eq!(tokens.ids("abab")?, [258]); // ab, then abab
    /// assert_eq!(tokens.text(&tokens.ids("Größe")?)?, "Größe"); // of single bytes
    /// # Ok::<(), Error>(())
    /// ```
    pub fn train<S: AsRef<str>>(
        texts: impl IntoIterator<Item = S>,
        vocabulary: usize,
        special: &[&str],
    ) -> Result<TextTokenizer> {
        check_special(vocabulary, special)?;
        let texts: Vec<String> = texts.into_iter().map(|text| text.as_ref().to_string()).collect();
        // Each pair that becomes a token shortens the texts, so that there are fewer than bytes.
        // The trainer allocates memory for the whole vocabulary.
        let pairs: usize = texts.iter().map(String::len).sum();
        let most = LEAST_VOCABULARY.saturating_add(special.len()).saturating_add(pairs);
        let special = [PADDING_TOKEN].iter().chain(special);
        let trainer = BpeTrainer::builder()
            .show_progress(false)
            .vocab_size(vocabulary.min(most))
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(special.map(|token| AddedToken::from(*token, true)).collect())
            .build();
        let mut tokenizer = Tokenizer::new(BPE::default());
        tokenizer.with_pre_tokenizer(Some(ByteLevel::new(false, true, true)));
        tokenizer.with_decoder(Some(ByteLevel::default()));
        let trained = caught(TOKENIZER_OP, || {
            let mut trainer = TrainerWrapper::from(trainer);
            tokenizer.train(&mut trainer, texts.into_iter()).map(|_| ())
        })?;
        trained.map_err(failed)?;
        TextTokenizer::of(tokenizer)
    }

    /// Writes the tokenizer to a file `tokenizer.json`, which other libraries read, too. An
    /// existing file is replaced when the new one is complete.
    ///
    /// # Errors
    /// If the file cannot be written.
    ///
    /// ```
    /// use neurax::{data::prepare::TextTokenizer, prelude::*};
    /// # let path = std::env::temp_dir().join("neurax-doc-tokenizer.json");
    /// let tokens = TextTokenizer::train(["a cat, a dog"], 260, &[])?;
    /// tokens.save(&path)?;
    /// assert_eq!(TextTokenizer::load(&path)?.ids("a cat")?, tokens.ids("a cat")?);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let text = self.tokenizer.to_string(true);
        let text = text.map_err(|e| Error::new("save", format!("{}: {e}", path.display())))?;
        replace_text(path, &text)
    }

    /// Returns the largest id and one, with the ids of special tokens: the number of rows that an
    /// embedding needs. In some files, ids below it have no token.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns true if there are no tokens, as in an empty file.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the id of a token, such as a special one.
    ///
    /// ```
    /// use neurax::{data::prepare::TextTokenizer, prelude::*};
    /// let tokens = TextTokenizer::train(["a"], 300, &["<end>"])?;
    /// assert_eq!((tokens.id("<pad>"), tokens.id("<end>")), (Some(0), Some(1)));
    /// assert_eq!(tokens.id("no token"), None);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn id(&self, token: &str) -> Option<i32> {
        self.tokenizer.token_to_id(token).and_then(|id| i32::try_from(id).ok())
    }

    /// Returns the id of padding: that of the token `<pad>`, `[PAD]` or `<|pad|>`, or the one that
    /// the file states; 0 in files without one, where only the mask shows what is padding.
    pub fn padding(&self) -> i32 {
        self.padding
    }

    /// Returns the ids of a text, without the special tokens of a model such as `[CLS]`.
    ///
    /// # Errors
    /// If the tokenizer of a file fails.
    pub fn ids(&self, text: &str) -> Result<Vec<i32>> {
        signed(self.encoding(text)?.get_ids())
    }

    /// Returns the text of tokens. Special tokens are left out, also those of padding.
    ///
    /// # Errors
    /// If an id has no token, or the tokenizer of a file fails.
    pub fn text(&self, ids: &[i32]) -> Result<String> {
        let ids = ids.iter().map(|&id| self.known(id)).collect::<Result<Vec<u32>>>()?;
        caught(TOKENIZER_OP, || self.tokenizer.decode(&ids, true))?.map_err(failed)
    }

    /// Returns the ids of texts with the special tokens of the file, such as `[CLS]` and `[SEP]`:
    /// the first tokens of each text up to `length`, padded to `length`.
    ///
    /// # Errors
    /// If `length` has no place for the special tokens, or the tokenizer of a file fails.
    ///
    /// ```
    /// use neurax::{data::prepare::TextTokenizer, prelude::*};
    /// let tokens = TextTokenizer::train(["abab"], 259, &[])?;
    /// let batch = tokens.encode(["ab", "abababab"], 2)?;
    /// assert_eq!(batch.ids.to_vec::<i32>()?, [257, 0, 258, 258]);
    /// assert_eq!(batch.mask.to_vec::<bool>()?, [true, false, true, true]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn encode<S: AsRef<str>>(
        &self,
        texts: impl IntoIterator<Item = S>,
        length: usize,
    ) -> Result<EncodedTexts> {
        let (mut ids, mut mask, mut count) = (Vec::new(), Vec::new(), 0);
        for text in texts {
            let tokens = signed(self.whole(text.as_ref(), length)?.get_ids())?;
            let (kept, padding) = (tokens.len(), length.saturating_sub(tokens.len()));
            if ids.try_reserve(length).is_err() || mask.try_reserve(length).is_err() {
                let why = format!("not enough memory for text {count} of {length} tokens");
                return Err(Error::new("encode", why));
            }
            ids.extend(tokens);
            ids.extend(std::iter::repeat_n(self.padding, padding));
            mask.extend((0..length).map(|i| i < kept));
            count += 1;
        }
        let shape = [count, length];
        Ok(EncodedTexts {
            ids: Tensor::from_vec(ids, shape).ok()?,
            mask: Tensor::from_vec(mask, shape).ok()?,
        })
    }

    /// Returns the texts of rows of ids, i32[n, length], without special tokens and padding.
    ///
    /// # Errors
    /// If `ids` has other than two axes, or as [`TextTokenizer::text`].
    pub fn decode(&self, ids: &Tensor) -> Result<Vec<String>> {
        let ty = ids.ty()?;
        let &[rows, length] = &ty.shape[..] else {
            return Err(Error::new(TOKENIZER_OP, format!("expected ids of [n, length], got {ty}")));
        };
        let all = ids.to_vec::<i32>()?;
        // `chunks` of 0 elements would panic.
        if length == 0 {
            return Ok(vec![String::new(); rows]);
        }
        all.chunks(length).map(|row| self.text(row)).collect()
    }

    /// Returns an id that has a token or is the one of padding, which has none in some files.
    fn known(&self, id: i32) -> Result<u32> {
        let known = u32::try_from(id)
            .ok()
            .filter(|&known| id == self.padding || self.tokenizer.id_to_token(known).is_some());
        known.ok_or_else(|| {
            let last = self.len().saturating_sub(1);
            let why = format!("expected ids of tokens, from 0 to {last}, got {id}");
            Error::new(TOKENIZER_OP, why)
        })
    }

    fn of(mut tokenizer: Tokenizer) -> Result<TextTokenizer> {
        let stated = tokenizer.get_padding().map(|padding| padding.pad_id);
        let known = || KNOWN_PADDING_TOKENS.iter().find_map(|token| tokenizer.token_to_id(token));
        let padding = stated.or_else(known).unwrap_or(0);
        let padding = i32::try_from(padding).map_err(|_| too_large(padding))?;
        tokenizer.with_padding(None);
        tokenizer.with_truncation(None).map_err(failed)?;
        let last = tokenizer.get_vocab(true).into_values().max();
        let last = last.map(|id| i32::try_from(id).map_err(|_| too_large(id))).transpose()?;
        let len = last.map_or(0, |id| id as usize + 1);
        Ok(TextTokenizer { tokenizer: Arc::new(tokenizer), padding, len })
    }

    fn encoding(&self, text: &str) -> Result<Encoding> {
        caught(TOKENIZER_OP, || self.tokenizer.encode(text, false))?.map_err(failed)
    }

    /// Returns the tokens of a text with special ones, at most `length`.
    fn whole(&self, text: &str, length: usize) -> Result<Encoding> {
        let processor = self.tokenizer.get_post_processor();
        let added = processor.map_or(0, |processor| processor.added_tokens(false));
        let Some(room) = length.checked_sub(added) else {
            let why = format!("expected a length of at least {added} special tokens, got {length}");
            return Err(Error::new(TOKENIZER_OP, why));
        };
        let mut encoding = self.encoding(text)?;
        caught(TOKENIZER_OP, || {
            encoding.truncate(room, 0, TruncationDirection::Right);
            // The rest of the text, which post-processing would mark as well.
            encoding.take_overflowing();
            self.tokenizer.post_process(encoding, None, true)
        })?
        .map_err(failed)
    }
}

/// Checks the size of a vocabulary and its special tokens.
fn check_special(vocabulary: usize, special: &[&str]) -> Result<()> {
    for (i, token) in special.iter().enumerate() {
        if token.is_empty() || *token == PADDING_TOKEN || special[..i].contains(token) {
            let why = format!("expected different special tokens besides {PADDING_TOKEN}");
            return Err(Error::new(TOKENIZER_OP, format!("{why}, got `{token}`")));
        }
    }
    let least = LEAST_VOCABULARY + special.len();
    if vocabulary < least {
        let why = format!("expected a vocabulary of at least {least} tokens (256 bytes, padding");
        return Err(Error::new(
            TOKENIZER_OP,
            format!("{why} and {} special ones), got {vocabulary}", special.len()),
        ));
    }
    Ok(())
}

fn signed(ids: &[u32]) -> Result<Vec<i32>> {
    ids.iter().map(|&id| i32::try_from(id).map_err(|_| too_large(id))).collect()
}

fn too_large(id: u32) -> Error {
    Error::new(TOKENIZER_OP, format!("expected ids of tokens below 2^31, got {id}"))
}

fn failed(e: tokenizers::Error) -> Error {
    Error::new(TOKENIZER_OP, e.to_string())
}

#[cfg(test)]
mod tests;
