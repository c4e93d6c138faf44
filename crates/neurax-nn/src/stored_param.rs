//! Parameters that are stored in another form than layers use them: with an adapter of low rank, or
//! quantized.
//!
//! The form is a property of the variables, not of the model, so that any model can be fine-tuned
//! or quantized. An entry of the state with a prefix in front of the path of the parameter holds
//! what belongs to it:
//!
//! ```text
//! parameter                 dense.kernel
//! its adapter               params   dense          kernel_lora_a, kernel_lora_b
//!                           state    lora.dense.kernel         scale, dropout
//! its quantized form        state    quantized.dense.kernel    values, scales, shape, dynamic
//! ```
//!
//! [`Cx::param`](crate::Cx::param) returns the parameter that these stand for, and
//! [`Cx::matmul`](crate::Cx::matmul) multiplies with it, for less where possible.

use neurax_tensor::{DType, Error, Result, Tensor, checkpoint, keep, stack, stop_gradient};
use std::collections::BTreeMap;

/// Tensors by layer path and name, as the type `Params` of variables.
type VariableMaps = BTreeMap<String, BTreeMap<String, Tensor>>;

/// The prefix of the entry of an adapter.
pub(crate) const LORA: &str = "lora";
/// The prefix of the entry of a quantized parameter.
pub(crate) const QUANTIZED: &str = "quantized";

/// The largest absolute value of a quantized number of 8 bits, and of one of 4 bits.
pub(crate) const MAX_INT8: f64 = 127.0;
pub(crate) const MAX_INT4: f64 = 7.0;

/// Returns the name of the entry of the parameter at a path.
pub(crate) fn entry(prefix: &str, path: &str) -> String {
    format!("{prefix}.{path}")
}

/// Returns the paths of the parameters with an entry of this prefix.
pub(crate) fn paths_of(state: &VariableMaps, prefix: &str) -> Vec<String> {
    let with_dot = format!("{prefix}.");
    state.keys().filter_map(|key| key.strip_prefix(&with_dot)).map(String::from).collect()
}

/// Returns the shape of the parameter that a quantized one stands for.
///
/// # Errors
///
/// If its values cannot be read.
pub(crate) fn shape_of(state: &VariableMaps, path: &str) -> Result<Option<Vec<usize>>> {
    let shape = state.get(&entry(QUANTIZED, path)).and_then(|vars| vars.get("shape"));
    let sizes = shape.map(|shape| shape.to_vec::<i32>()).transpose()?;
    let size = |n: i32| {
        let want = "expected the shape of a quantized parameter";
        usize::try_from(n).map_err(|_| Error::new("quantize", format!("{want}, got a size of {n}")))
    };
    sizes.map(|sizes| sizes.into_iter().map(size).collect()).transpose()
}

/// Returns the number of elements of all parameters that are quantized, saturating. The shape of a
/// damaged one counts as empty.
pub(crate) fn quantized_elements(state: &VariableMaps) -> usize {
    let size = |path: String| match shape_of(state, &path) {
        Ok(Some(shape)) => shape.into_iter().fold(1, usize::saturating_mul),
        Ok(None) | Err(_) => 0,
    };
    paths_of(state, QUANTIZED).into_iter().map(size).fold(0, usize::saturating_add)
}

/// The update of low rank of a parameter, `scale · a · b`, as a matrix whose rows are axis 0 of the
/// parameter.
pub(crate) struct Adapter {
    pub a: Tensor,
    pub b: Tensor,
    /// The factor, f32[].
    pub scale: Tensor,
    /// The rate of the dropout of inputs, f32[].
    pub dropout: Option<Tensor>,
}

impl Adapter {
    /// Creates the adapter of the parameter at a path from its matrices and its entry of the state.
    /// What is missing carries an error.
    pub fn new(
        path: &str,
        [a, b]: [Option<Tensor>; 2],
        options: &BTreeMap<String, Tensor>,
    ) -> Adapter {
        let missing = || {
            let why = format!("missing a part of the adapter of `{path}`, which the state has");
            Tensor::from_error(Error::new("lora", why))
        };
        let (scale, dropout) = (options.get("scale").cloned(), options.get("dropout").cloned());
        let [a, b, scale] = [a, b, scale].map(|t| t.unwrap_or_else(missing));
        Adapter { a, b, scale, dropout }
    }

    /// Returns the update of a parameter.
    pub fn update_of(&self, base: &Tensor) -> Tensor {
        let update = self.a.matmul(&self.b) * self.scale.to(self.a.dtype());
        update.reshape(base.shape().to_vec()).to(base.dtype())
    }

    /// Returns the rows of the update of a matrix.
    pub fn rows(&self, indices: &Tensor) -> Tensor {
        self.a.take(indices, 0).matmul(&self.b) * self.scale.to(self.a.dtype())
    }

    /// Returns the product of `x` and the update of a matrix.
    pub fn product(&self, x: &Tensor) -> Tensor {
        let [a, b, scale] = [&self.a, &self.b, &self.scale].map(|t| t.to(x.dtype()));
        x.matmul(a).matmul(b) * scale
    }

    /// Returns the product of `x` and the transposed update of a matrix.
    pub fn transposed_product(&self, x: &Tensor) -> Tensor {
        let [a, b, scale] = [&self.a, &self.b, &self.scale].map(|t| t.to(x.dtype()));
        x.matmul(b.swap_axes(0, 1)).matmul(a.swap_axes(0, 1)) * scale
    }
}

/// A quantized parameter: integers, and the numbers that one of them stands for.
pub(crate) struct QuantizedTensor {
    /// Numbers of 8 bits in the shape of the parameter; or pairs of 4 bits, u8, of a matrix with a
    /// unit in each column, the lower ones in the even rows.
    pub values: Tensor,
    /// The scale of each unit, with axes that broadcast; or of each group of rows and column.
    pub scales: Tensor,
    /// True if inputs are quantized, too.
    pub is_dynamic: bool,
}

impl QuantizedTensor {
    /// Returns the quantized parameter of an entry.
    pub fn of_entry(state: &VariableMaps, path: &str) -> Option<QuantizedTensor> {
        let vars = state.get(&entry(QUANTIZED, path))?;
        let (values, scales) = (vars.get("values")?.clone(), vars.get("scales")?.clone());
        Some(QuantizedTensor { values, scales, is_dynamic: vars.contains_key("dynamic") })
    }

    /// Returns the parameter, f32, of the given shape.
    pub fn dequantized(&self, shape: &[usize]) -> Tensor {
        match self.values.dtype() {
            DType::U8 => self.of_nibbles(shape),
            _ if *self.values.shape() != *shape => self.wrong_shape(shape),
            _ => self.values.to(DType::F32) * &self.scales,
        }
    }

    /// Returns the parameter of pairs of numbers of 4 bits.
    fn of_nibbles(&self, shape: &[usize]) -> Tensor {
        let is_matrix = shape.len() == 2;
        let [rows, units] = match shape {
            [] => return self.wrong_shape(shape),
            [rows, units] => [*rows, *units],
            [units, rest @ ..] => [rest.iter().product(), *units],
        };
        let [groups, columns] = [0, 1].map(|axis| self.scales.shape().get(axis).copied());
        let (Some(groups @ 1..), Some(columns)) = (groups, columns) else {
            return self.wrong_shape(shape);
        };
        let padded = self.values.shape()[0] * 2;
        if columns != units || padded < rows || !padded.is_multiple_of(groups) {
            return self.wrong_shape(shape);
        }
        let (low, high) = (self.values.bitwise_and(15), self.values.right_shift(4));
        let numbers = stack([low, high], 1).reshape([groups, padded / groups, units]);
        let scaled = (numbers.to(DType::F32) - 8.0) * self.scales.expand_dims(1);
        let matrix = scaled.reshape([padded, units]).slice(0, ..rows as i64);
        if is_matrix { matrix } else { matrix.t().reshape(shape.to_vec()) }
    }

    /// Returns the product of `x` and a matrix.
    ///
    /// If `x` is quantized as well, integers are multiplied as floats, which hold sums up to 2^24
    /// exactly. For 256 rows and a matrix of 1024 x 1024, the matrix kernel of floats takes 27 ms
    /// and a loop of 32-bit integers 234 ms; for one row, 0.55 and 0.69 ms (one thread of a busy
    /// x86-64 server, 2026-11-28).
    ///
    /// It is a checkpoint. Otherwise, a traced function would convert integers that it captures
    /// while it is traced, and hold floats; and a backward pass would keep floats.
    pub fn product(&self, x: &Tensor, shape: [usize; 2]) -> Tensor {
        let is_dynamic = self.is_dynamic;
        let product = checkpoint(move |(x, values, scales): (Tensor, Tensor, Tensor)| {
            QuantizedTensor { values, scales, is_dynamic }.recorded_product(&x, shape)
        });
        product((x.clone(), self.values.clone(), self.scales.clone()))
    }

    fn recorded_product(&self, x: &Tensor, shape: [usize; 2]) -> Tensor {
        if self.values.dtype() == DType::U8 || self.values.shape() != shape {
            return x.matmul(self.dequantized(&shape).to(x.dtype()));
        }
        let wide = x.to(x.dtype().at_least_f32());
        let scales = self.scales.reshape([shape[1]]).to(wide.dtype());
        // The scales are those of columns, so that the integers are multiplied as they are.
        let integers = self.values.to(wide.dtype());
        let y = match self.is_dynamic {
            true => {
                let (numbers, rows) = rounded(&wide, wide.abs().max(keep(-1)), MAX_INT8);
                // Gradients pass as if nothing were rounded.
                let exact = &wide / &rows;
                (&exact + stop_gradient(&(numbers - &exact))).matmul(integers) * rows
            }
            false => wide.matmul(integers),
        };
        (y * scales).to(x.dtype())
    }

    /// Returns the product of `x` and a transposed matrix, as a checkpoint: see
    /// [`QuantizedTensor::product`].
    pub fn transposed_product(&self, x: &Tensor, shape: [usize; 2]) -> Tensor {
        let is_dynamic = self.is_dynamic;
        let product = checkpoint(move |(x, values, scales): (Tensor, Tensor, Tensor)| {
            QuantizedTensor { values, scales, is_dynamic }.recorded_transposed_product(&x, shape)
        });
        product((x.clone(), self.values.clone(), self.scales.clone()))
    }

    fn recorded_transposed_product(&self, x: &Tensor, shape: [usize; 2]) -> Tensor {
        if self.values.dtype() == DType::U8 || self.values.shape() != shape {
            return x.matmul(self.dequantized(&shape).to(x.dtype()).swap_axes(0, 1));
        }
        let wide = x.to(x.dtype().at_least_f32());
        let scales = self.scales.reshape([shape[1]]).to(wide.dtype());
        // The scales are those of columns, which are summed over.
        let integers = self.values.to(wide.dtype()).swap_axes(0, 1);
        (wide * scales).matmul(integers).to(x.dtype())
    }

    /// Returns the rows of a matrix, f32, at indices as of [`Tensor::take`]. Only these rows are
    /// converted.
    pub fn rows(&self, indices: &Tensor, shape: [usize; 2]) -> Tensor {
        let is_dynamic = self.is_dynamic;
        let rows = checkpoint(move |(indices, values, scales): (Tensor, Tensor, Tensor)| {
            QuantizedTensor { values, scales, is_dynamic }.recorded_rows(&indices, shape)
        });
        rows((indices.clone(), self.values.clone(), self.scales.clone()))
    }

    fn recorded_rows(&self, indices: &Tensor, shape: [usize; 2]) -> Tensor {
        let [count, features] = shape;
        if self.values.dtype() != DType::U8 {
            return match *self.values.shape() == shape {
                true => {
                    self.values.take(indices, 0).to(DType::F32) * self.scales.reshape([features])
                }
                false => self.wrong_shape(&shape),
            };
        }
        let (pairs, groups) = (self.values.shape()[0], self.scales.shape()[0]);
        let fits = self.values.shape().get(1) == Some(&features) && 2 * pairs >= count;
        if !fits || groups == 0 || count == 0 {
            return self.wrong_shape(&shape);
        }
        // From the end if negative, and clamped, as the rows themselves.
        let indices = Tensor::arange(count).take(indices, 0);
        let pair = self.values.take(indices.right_shift(1), 0);
        let is_high = indices.bitwise_and(1).equal(1).expand_dims(-1);
        let numbers = is_high.select(pair.right_shift(4), pair.bitwise_and(15));
        let scales = self.scales.take(indices.floor_divide(2 * pairs / groups), 0);
        (numbers.to(DType::F32) - 8.0) * scales
    }

    fn wrong_shape(&self, shape: &[usize]) -> Tensor {
        let got = self.values.shape();
        let why = format!("expected a quantized parameter of shape {shape:?}, got {got} numbers");
        Tensor::from_error(Error::new("param", why))
    }
}

/// Returns `x` as integers, i8, of absolute values up to `largest`, and the number that 1 stands
/// for. `range` has the largest absolute values, with axes that broadcast.
pub(crate) fn quantized(x: &Tensor, range: Tensor, largest: f64) -> (Tensor, Tensor) {
    let (integers, scales) = rounded(x, range, largest);
    (integers.to(DType::I8), scales)
}

/// Returns what [`quantized`] does, with the integers as floats.
fn rounded(x: &Tensor, range: Tensor, largest: f64) -> (Tensor, Tensor) {
    let scales = range.equal(0.0).select(1.0, range / largest);
    ((x / &scales).round().clip(-largest, largest), scales)
}
