//! Preprocessing that fits and applies: columns of numbers to one scale, names and texts to
//! indices.
//!
//! Each value is fitted on the examples to train on, and applied to those to train, test and
//! predict on. Fitted tensors are trees, which are saved as safetensors; vocabularies are saved as
//! JSON. What is made of tensors ([`Standardizer`], [`MinMaxScaler`], [`FillMissing`],
//! [`Binner`], [`IntegerLookup`]) also runs inside of [`jit`](neurax_tensor::jit()).
//!
//! Examples that do not fit into memory are fitted part by part, such as the batches of a
//! [`Stream`](crate::Stream), by `fit_parts`, `mean_parts` and `median_parts`.
//!
//! | value | memory for all parts | result |
//! |---|---|---|
//! | [`Standardizer`], [`MinMaxScaler`], means of [`FillMissing`] | a few numbers | exact |
//! | medians of [`FillMissing`], quantiles of [`Binner`] | up to 0.6 MB | exact to 4096 numbers |
//! | [`IntegerLookup`], [`StringLookup`], [`TextVectorizer`] | the distinct values | exact |
//!
//! The memory of the first two rows is that of each column. The rank of a median or quantile of
//! more numbers is wrong by at most 0.1 % of a million numbers, or 0.22 % of a billion.
//!
//! Missing values:
//!
//! | value | missing | when fitting | when applying |
//! |---|---|---|---|
//! | [`Standardizer`], [`MinMaxScaler`] | NaN | left out | stays NaN |
//! | [`FillMissing`] | NaN | left out | replaced |
//! | [`Binner`] | NaN | left out | bin -1 |
//! | [`StringLookup`], [`TextVectorizer`] | an empty string | left out | index 0, no words |
//! | [`IntegerLookup`] | - | - | unknown integers are index 0 |
//! | [`Hashing`] | an empty string | - | bucket 0 |
//!
//! ```
//! use neurax::{data::prepare::Standardizer, prelude::*};
//! let parts = data::iris()?.split(0.8, key(0));
//! let scale = Standardizer::fit(&parts.train.x)?;
//! let train = Dataset::new(scale.apply(&parts.train.x), parts.train.y)?;
//! let test = Dataset::new(scale.apply(&parts.test.x), parts.test.y)?;
//! assert!(train.x.mean(0).abs().max(..).item()? < 1e-5);
//! # let _ = test;
//! # Ok::<(), Error>(())
//! ```

mod binner;
mod columns;
mod fill_missing;
mod fitted;
mod hashing;
mod integer_lookup;
mod min_max;
mod moments;
mod quantiles;
mod standardizer;
mod string_lookup;
#[cfg(feature = "tokenizers")]
mod text_tokenizer;
mod text_vectorizer;

pub use binner::Binner;
pub use fill_missing::FillMissing;
pub use hashing::Hashing;
pub use integer_lookup::IntegerLookup;
pub use min_max::MinMaxScaler;
pub use standardizer::Standardizer;
pub use string_lookup::StringLookup;
#[cfg(feature = "tokenizers")]
pub use text_tokenizer::{EncodedTexts, TextTokenizer};
pub use text_vectorizer::TextVectorizer;
