//! Data frames: CSV and Parquet files through [Polars](polars), columns to tensors and back.
//!
//! A [`DataFrame`](polars::prelude::DataFrame) of Polars holds columns of different types, with
//! missing values. Polars, which is re-exported, reads, filters, groups and sorts them; this crate
//! adds what a training needs: [`read_csv`] and [`read_parquet`] with errors that name the file,
//! [`FrameTensors`] for columns as tensors and data sets, [`frame_of`] for tensors as columns, and
//! [`parquet_stream`] and [`parquet_frames`] for files that are larger than memory.
//!
//! This crate builds for minutes, and its Parquet reader contains C code. A table of numbers in a
//! CSV file needs neither: see `neurax::data::csv`.
//!
//! ```
//! use neurax::prelude::*;
//! use neurax_dataframe::{FrameTensors, Nulls, read_csv};
//! # let path = std::env::temp_dir().join("neurax-doc-frame.csv");
//! std::fs::write(&path, "age,color,price\n30,red,2.5\n,blue,3.5\n50,red,4.5\n")?;
//! let frame = read_csv(&path)?;
//! assert!(frame.tensor("age", Nulls::Error).is_err());
//! let set = frame.dataset(&["age"], &["price"], Nulls::Value(40.0))?;
//! assert_eq!(set.x.to_vec::<f32>()?, [30.0, 40.0, 50.0]);
//! assert_eq!(frame.texts("color")?, ["red", "blue", "red"]);
//! # Ok::<(), Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// The programs of the page, run as doctests. The page is outside of the package, so only a doctest
// may include it.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/dataframes.md")]
mod dataframes_page {}

mod columns;
mod failures;
mod files;
mod frames;
mod number;
mod parquet_stream;

pub use columns::{FrameTensors, Nulls};
pub use files::{read_csv, read_parquet, write_csv, write_parquet};
pub use frames::frame_of;
pub use parquet_stream::{parquet_frames, parquet_stream};
pub use polars;
