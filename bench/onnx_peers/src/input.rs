//! The inputs of a model, from `.npy` files.

use anyhow::{Context, Result, bail};
use half::f16;
use npyz::{DType, NpyFile, TypeChar};
use std::fs::File;
use std::io::BufReader;

/// An input with its name in the model.
pub struct PeerInput {
    pub name: String,
    pub shape: Vec<usize>,
    pub elements: InputElements,
}

/// The elements of an input, in row-major order.
pub enum InputElements {
    Bool(Vec<bool>),
    F16(Vec<f16>),
    F32(Vec<f32>),
    F64(Vec<f64>),
    I8(Vec<i8>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    U8(Vec<u8>),
}

impl PeerInput {
    /// Reads the file of `NAME=FILE`.
    ///
    /// # Errors
    /// If the file cannot be read, or has another dtype than those of [`InputElements`].
    pub fn read(text: &str) -> Result<PeerInput> {
        let (name, path) = text.split_once('=').context("expected NAME=FILE")?;
        let file = NpyFile::new(BufReader::new(File::open(path)?))?;
        let shape = file.shape().iter().map(|n| *n as usize).collect();
        let DType::Plain(ty) = file.dtype() else {
            bail!("expected numbers in {path}, got records");
        };
        let elements = match (ty.type_char(), ty.size_field()) {
            (TypeChar::Bool, _) => InputElements::Bool(file.into_vec()?),
            (TypeChar::Float, 2) => InputElements::F16(file.into_vec()?),
            (TypeChar::Float, 4) => InputElements::F32(file.into_vec()?),
            (TypeChar::Float, 8) => InputElements::F64(file.into_vec()?),
            (TypeChar::Int, 1) => InputElements::I8(file.into_vec()?),
            (TypeChar::Int, 4) => InputElements::I32(file.into_vec()?),
            (TypeChar::Int, 8) => InputElements::I64(file.into_vec()?),
            (TypeChar::Uint, 1) => InputElements::U8(file.into_vec()?),
            _ => bail!("{path} has elements of {ty}"),
        };
        Ok(PeerInput { name: name.into(), shape, elements })
    }
}
