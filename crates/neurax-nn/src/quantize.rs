//! Quantized parameters for inference: integers of 8 or 4 bits in place of floats.
//!
//! Quantized variables take a quarter or an eighth of the memory, and every model that uses the
//! parameters finds them. They can be saved and loaded like all others, and not be trained, except
//! for adapters ([`lora`](crate::lora)).
//!
//! A compiled function that captures the variables holds the integers of dense layers, of
//! embeddings, also of tied output layers, and of the projections of attention and feed-forward
//! layers; kernels of other layers are converted when it is traced. Pass the variables as an
//! argument to keep the integers of all of them.
//!
//! Time is not saved: a layer converts the integers of its kernel to floats in front of the
//! product, which then takes 1 to 1.5 times as long for 8 bits, and 1.2 to 3.7 times for 4 bits
//! (batches of 256 examples to one, and kernels of 1024 x 1024).
//!
//! ```
//! use neurax::prelude::*;
//! let model = nn::input("x", dims![_, 64]).dense(64).relu().dense(10).model();
//! let vars = model.init(key(0), &types![f32[_, 64]])?;
//! let quantized = nn::quantize::weights(&vars, "**.kernel", nn::Scheme::Int8)?;
//! for p in &quantized.report {
//!     println!("{p}"); // dense.kernel: 16384 to 4352 bytes, relative error 0.0045
//!     assert!(p.relative_error < 0.01 && p.bytes < p.bytes_before / 3);
//! }
//! let x = key(1).normal([8, 64]);
//! let y = |vars| model.apply(vars, &x, &Mode::Eval).y().clone();
//! assert_eq!(y(&quantized.vars).allclose(y(&vars), 0.0, 0.1).item()?, 1.0);
//! # Ok::<(), Error>(())
//! ```

use crate::optim::UnitAxis;
use crate::precision::at_least_f32;
use crate::stored_param::{
    MAX_INT4, MAX_INT8, QUANTIZED, QuantizedTensor, entry, paths_of, quantized, shape_of,
};
use crate::vars::{FROZEN, remove};
use crate::{ParamMask, Vars};
use neurax_tensor::{DType, Error, Result, Tensor, Tree, concat, keep, tensor};
use std::collections::BTreeMap;
use std::fmt;

/// A way to quantize parameters. All are symmetric: 0 stays 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Integers of 8 bits, with one scale for each column of a matrix, or for each entry along the
    /// first or the last axis of a kernel with more axes. Layers compute with floats.
    Int8,
    /// Integers of 4 bits, with one scale for each `group` of inputs of a unit, usually 32 to 128.
    /// Layers compute with floats.
    Int4 {
        /// The number of inputs that share a scale.
        group: usize,
    },
    /// As [`Scheme::Int8`]. Dense layers and the projections of attention also quantize their
    /// inputs, with one scale for each row, and multiply integers: the results are those of a
    /// device that computes with 8 bits.
    DynamicInt8,
}

/// The result of [`weights`].
#[derive(Clone, Debug)]
pub struct QuantizedVars {
    /// The variables, with the chosen parameters quantized.
    pub vars: Vars,
    /// The quantized parameters by path.
    pub report: Vec<QuantizedParam>,
}

/// The size and the error of a quantized parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedParam {
    /// The path of the parameter.
    pub path: String,
    /// The norm of the difference to the parameter, divided by the norm of the parameter.
    pub relative_error: f64,
    /// The largest difference of an element.
    pub max_error: f64,
    /// The size of the parameter in bytes.
    pub bytes_before: usize,
    /// The size of the quantized parameter in bytes, scales included.
    pub bytes: usize,
}

impl fmt::Display for QuantizedParam {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let QuantizedParam { path, relative_error, bytes_before, bytes, .. } = self;
        write!(f, "{path}: {bytes_before} to {bytes} bytes, relative error {relative_error:.4}")
    }
}

/// Quantizes the float parameters with two or more axes that `mask` chooses, frozen or not, and
/// measures the errors. The pattern `**.*kernel` chooses the kernels of all layers, such as
/// `query_kernel` of attention.
///
/// # Errors
///
/// If a pattern matches no parameter, or only parameters with fewer axes; if a group has no
/// elements; or if a parameter is not finite.
pub fn weights(vars: &Vars, mask: impl Into<ParamMask>, scheme: Scheme) -> Result<QuantizedVars> {
    if scheme == (Scheme::Int4 { group: 0 }) {
        return Err(fail("expected groups of at least 1 input, got 0".into()));
    }
    let paths: Vec<String> = vars.trainable().into_iter().chain(vars.frozen()).collect();
    let tensors = paths.iter().map(|path| vars.get(path)).collect::<Result<Vec<_>>>()?;
    let chosen = mask.into().select(&paths, &tensors).map_err(fail)?;
    let mut new = QuantizedVars { vars: vars.clone(), report: vec![] };
    for ((path, w), _) in paths.iter().zip(&tensors).zip(chosen).filter(|(_, chosen)| *chosen) {
        if w.rank() >= 2 && w.dtype().is_float() {
            new.quantize(path, w, scheme)?;
        }
    }
    match new.report.is_empty() {
        true => Err(fail("expected a pattern of a parameter with two or more axes".into())),
        false => Ok(new),
    }
}

/// Returns the variables with all quantized parameters as floats, f32, and trainable.
///
/// # Errors
///
/// If the entry of a quantized parameter is damaged.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 4]).dense(4).model();
/// let vars = model.init(key(0), &types![f32[_, 4]])?;
/// let quantized = nn::quantize::weights(&vars, "**", nn::Scheme::Int4 { group: 2 })?.vars;
/// assert_eq!(nn::quantize::dequantize(&quantized)?.trainable(), vars.trainable());
/// # Ok::<(), Error>(())
/// ```
pub fn dequantize(vars: &Vars) -> Result<Vars> {
    let mut new = vars.clone();
    for path in paths_of(&vars.state, QUANTIZED) {
        let damaged = || fail(format!("expected the quantized parameter `{path}`, got a part"));
        let shape = shape_of(&vars.state, &path)?.ok_or_else(damaged)?;
        let q = QuantizedTensor::of_entry(&vars.state, &path).ok_or_else(damaged)?;
        let (layer, name) = path.rsplit_once('.').ok_or_else(damaged)?;
        let w = q.dequantized(&shape).ok()?;
        new.state.remove(&entry(QUANTIZED, &path));
        new.params.entry(layer.into()).or_default().insert(name.into(), w);
    }
    Ok(new)
}

impl QuantizedVars {
    fn quantize(&mut self, path: &str, w: &Tensor, scheme: Scheme) -> Result<()> {
        let bytes_before = bytes(w)?;
        let w = at_least_f32(w);
        if w.is_finite().all(..).item()? == 0.0 {
            return Err(fail(format!("expected finite numbers in `{path}`, got NaN or infinity")));
        }
        let (values, scales) = match scheme {
            Scheme::Int8 | Scheme::DynamicInt8 => {
                quantized(&w, w.abs().max(keep(scale_axis(&w).axes_of_a_unit(&w))), MAX_INT8)
            }
            Scheme::Int4 { group } => nibbles(&w, group),
        };
        let (values, scales) = (values.ok()?, scales.to(DType::F32).ok()?);
        let is_dynamic = scheme == Scheme::DynamicInt8;
        let found = QuantizedTensor { values, scales, is_dynamic };
        let error = found.dequantized(&w.shape()).to(w.dtype()) - &w;
        let norm = |x: &Tensor| x.to(DType::F64).square().sum(..).sqrt().item();
        let size = norm(&w)?;
        self.report.push(QuantizedParam {
            path: path.into(),
            relative_error: if size == 0.0 { 0.0 } else { norm(&error)? / size },
            max_error: if w.size() == 0 { 0.0 } else { error.abs().max(..).item()? },
            bytes_before,
            bytes: bytes(&found.values)? + bytes(&found.scales)?,
        });
        let shape: Vec<i32> = w.shape().iter().map(|&n| n as i32).collect();
        let shape = Tensor::from_slice(&shape, shape.len());
        let mut vars: BTreeMap<String, Tensor> =
            [("values", found.values), ("scales", found.scales), ("shape", shape)]
                .map(|(name, t)| (name.to_string(), t))
                .into();
        if is_dynamic {
            vars.insert("dynamic".into(), tensor(1));
        }
        remove_parameter(&mut self.vars, path);
        self.vars.state.insert(entry(QUANTIZED, path), vars);
        Ok(())
    }
}

/// Returns the axis along which a parameter has scales: the units of a matrix; of a kernel with
/// more axes, whose layout is unknown, the longer one of the first and the last axis.
fn scale_axis(w: &Tensor) -> UnitAxis {
    let shape = w.shape();
    match (w.rank(), shape.first(), shape.last()) {
        (3.., Some(first), Some(last)) if last > first => UnitAxis(Some(-1)),
        _ => UnitAxis(None),
    }
}

/// Quantizes the parameters of `new` that are quantized in `old`, with its numbers.
pub(crate) fn keep_quantized(new: &mut Vars, old: &Vars) {
    for path in paths_of(&old.state, QUANTIZED) {
        let Some(stored) = old.state.get(&entry(QUANTIZED, &path)) else { continue };
        if new.get(&path).is_ok() {
            remove_parameter(new, &path);
            new.state.insert(entry(QUANTIZED, &path), stored.clone());
        }
    }
}

/// Removes a parameter, frozen or not.
fn remove_parameter(vars: &mut Vars, path: &str) {
    remove(&mut vars.params, path);
    if let Some(frozen) = vars.state.get_mut(FROZEN) {
        frozen.remove(path);
        if frozen.is_empty() {
            vars.state.remove(FROZEN);
        }
    }
}

/// Returns pairs of numbers of 4 bits, with one unit in each column, and the scales of the groups.
fn nibbles(w: &Tensor, group: usize) -> (Tensor, Tensor) {
    let matrix = match w.rank() {
        2 => w.clone(),
        _ => w.reshape([w.shape()[0], w.shape()[1..].iter().product::<usize>()]).t(),
    };
    let (rows, units) = (matrix.shape()[0], matrix.shape()[1]);
    // An even number of whole groups.
    let group = group.min(rows.next_multiple_of(2)).max(1);
    let padded = rows.next_multiple_of(if group.is_multiple_of(2) { group } else { 2 * group });
    let padding = Tensor::zeros([padded - rows, units]).to(w.dtype());
    let groups = concat([matrix, padding], 0).reshape([padded / group, group, units]);
    let (numbers, scales) = quantized(&groups, groups.abs().max(keep(1)), MAX_INT4);
    let pairs = (numbers + 8).to(DType::U8).reshape([padded / 2, 2, units]);
    let half = |i: i64| pairs.slice(1, i..i + 1).reshape([padded / 2, units]);
    (half(0) + half(1) * 16, scales.reshape([padded / group, units]))
}

fn bytes(x: &Tensor) -> Result<usize> {
    Ok(x.size() * x.ty()?.dtype.bits() / 8)
}

fn fail(why: String) -> Error {
    Error::new("quantize", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Conv, Mode, Model, input};
    use neurax_tensor::dtype_consts::F16;
    use neurax_tensor::{dims, grad, jit, key, types};

    const SCHEMES: [Scheme; 3] = [Scheme::Int8, Scheme::Int4 { group: 16 }, Scheme::DynamicInt8];

    fn model() -> Model {
        let x = input("x", dims![_, 3, 20]).layer(Conv::new(8, 5)).relu().flatten();
        x.dense(50).relu().dense(4).model()
    }

    fn vars() -> Vars {
        model().init(key(0), &types![f32[_, 3, 20]]).unwrap()
    }

    fn output(vars: &Vars) -> Tensor {
        model().apply(vars, key(5).normal([6, 3, 20]), &Mode::Eval).y().clone()
    }

    fn bytes_of(vars: &Vars) -> usize {
        vars.leaves().into_iter().map(|(_, t)| bytes(t).unwrap()).sum()
    }

    #[test]
    fn memory_shrinks_and_outputs_change_little() {
        for (scheme, bits, error) in
            [(SCHEMES[0], 8.4, 0.01), (SCHEMES[1], 6.4, 0.12), (SCHEMES[2], 8.4, 0.01)]
        {
            let q = weights(&vars(), "**.kernel", scheme).unwrap();
            let (before, after) = (bytes_of(&vars()), bytes_of(&q.vars));
            assert!((after as f64) < before as f64 * bits / 32.0 + 600.0, "{scheme:?}: {after}");
            for p in &q.report {
                assert!(p.relative_error > 0.0 && p.relative_error < error, "{scheme:?} {p}");
            }
            let (y, want) = (output(&q.vars), output(&vars()));
            let norm = |x: &Tensor| x.square().sum(..).sqrt().item().unwrap();
            assert!(norm(&(&y - &want)) < 2.0 * error * norm(&want), "{scheme:?}: {y} {want}");
        }
    }

    #[test]
    fn quantized_parameters_are_counted() {
        for scheme in SCHEMES {
            let q = weights(&vars(), "**.kernel", scheme).unwrap().vars;
            assert_eq!(q.size(), vars().size(), "{scheme:?}");
            let summary = model().bind(q).summary();
            assert!(summary.lines().last().unwrap().contains(" 6,782 "), "{summary}");
        }
    }

    #[test]
    fn reported_errors_are_those_of_the_variables() {
        for scheme in SCHEMES {
            let q = weights(&vars(), ParamMask::kernels(), scheme).unwrap();
            let back = dequantize(&q.vars).unwrap();
            assert_eq!(back.trainable(), vars().trainable());
            for p in &q.report {
                let (w, found) = (vars().get(&p.path).unwrap(), back.get(&p.path).unwrap());
                let error = (&w - found).abs().max(..).item().unwrap();
                assert!((error - p.max_error).abs() < 1e-6, "{}: {error}", p.path);
            }
        }
    }

    #[test]
    fn eager_jitted_and_loaded_variables_have_equal_outputs() {
        for scheme in SCHEMES {
            let q = weights(&vars(), "**.kernel", scheme).unwrap().vars;
            let want = output(&q);
            let apply =
                |(vars, x): (Vars, Tensor)| model().apply(&vars, x, &Mode::Eval).y().clone();
            let x = key(5).normal([6, 3, 20]);
            let jitted = jit(apply).run((q.clone(), x)).unwrap();
            let path = std::env::temp_dir().join(format!("neurax-int-{}", std::process::id()));
            q.save(&path).unwrap();
            let loaded = Vars::load(&path);
            std::fs::remove_file(&path).unwrap();
            for y in [jitted, output(&loaded.unwrap())] {
                assert!(y.allclose(&want, 1e-4, 1e-4).item().unwrap() == 1.0, "{scheme:?}");
            }
        }
    }

    #[test]
    fn compiled_functions_hold_integers_and_have_gradients() {
        let dense = input("x", dims![_, 30]).dense(20).model();
        let vars = dense.init(key(0), &types![f32[_, 30]]).unwrap();
        let x = key(1).normal([4, 30]);
        let slope = |vars: &Vars| {
            grad(|x: Tensor| dense.apply(vars, x, &Mode::Eval).y().square().sum(..))(x.clone())
        };
        let want = slope(&vars);
        for scheme in SCHEMES {
            let q = weights(&vars, "**.kernel", scheme).unwrap().vars;
            let found = slope(&q);
            let close = found.allclose(&want, 0.1, 1.5).item().unwrap() == 1.0;
            assert!(close, "{scheme:?}: {found} {want}");
            let f = jit(|x: Tensor| dense.apply(&q, x, &Mode::Eval).y().clone());
            let stages = f.stages(&x, true).unwrap();
            let first = stages.list()[0].text.clone().unwrap();
            let arguments = first.lines().next().unwrap();
            let kernel =
                if matches!(scheme, Scheme::Int4 { .. }) { "u8[16, 20]" } else { "i8[30, 20]" };
            assert!(arguments.contains(kernel), "{scheme:?}: {arguments}");
        }
    }

    #[test]
    fn projections_of_attention_are_quantized_and_can_have_adapters() {
        let x = input("x", dims![_, 5, 8]);
        let model = x.layer(crate::MultiHeadAttention::new(2, 4)).model();
        let vars = model.init(key(0), &types![f32[_, 5, 8]]).unwrap();
        let x = key(1).normal([2, 5, 8]);
        let y = |vars: &Vars| model.apply(vars, &x, &Mode::Eval).y().clone();
        for scheme in SCHEMES {
            let q = weights(&vars, "**.*kernel", scheme).unwrap();
            assert_eq!(q.report.len(), 4);
            assert!(y(&q.vars).allclose(y(&vars), 0.2, 0.2).item().unwrap() == 1.0, "{scheme:?}");
        }
        let lora = crate::Lora::new(2);
        let mut tuned = crate::lora::wrap(&vars, "**.*kernel", &lora, key(2)).unwrap();
        assert_eq!(tuned.trainable().len(), 8);
        for path in tuned.trainable().iter().filter(|path| path.ends_with("_b")) {
            let b = tuned.get(path).unwrap();
            tuned.set(path, key(3).normal(b.shape()) * 0.2).unwrap();
        }
        let merged = crate::lora::merge(&tuned).unwrap();
        assert!(y(&tuned).allclose(y(&merged), 1e-4, 1e-4).item().unwrap() == 1.0);
        assert!(y(&tuned).allclose(y(&vars), 1e-3, 1e-3).item().unwrap() == 0.0);
    }

    #[test]
    fn a_compiled_transformer_holds_integers() {
        use crate::models::{Gpt2Config, gpt2};
        let small = Gpt2Config { vocabulary: 64, context: 8, features: 32, ..Gpt2Config::small() };
        let config = Gpt2Config { heads: 2, layers: 2, ..small };
        let tokens = crate::typed_input("t", DType::I64, dims!["batch", "length"]);
        let model = gpt2(&tokens, &config).model();
        let vars = model.init(key(0), &types![i64[1, 4]]).unwrap();
        let tokens = tensor([[1i64, 5, 9, 2]]);
        // The bytes of the arguments, which are what is captured and the tokens.
        let held = |vars: &Vars| -> usize {
            let f = jit(|x: Tensor| model.apply(vars, x, &Mode::Eval).y().clone());
            let stages = f.stages(&tokens, true).unwrap();
            let text = stages.list()[0].text.clone().unwrap();
            let line = text.lines().next().unwrap();
            let (line, _) = line.split_once("->").unwrap_or((line, ""));
            let of = |dtype: &str, bytes: usize| -> usize {
                let shapes = line.split(dtype).skip(1).map(|rest| rest.split(']').next().unwrap());
                let size = |shape: &str| shape.split(", ").flat_map(str::parse::<usize>).product();
                shapes.map(size).map(|n: usize| n * bytes).sum()
            };
            of("f32[", 4) + of(" i8[", 1)
        };
        let q = weights(&vars, !ParamMask::from("**.bias"), Scheme::Int8).unwrap().vars;
        assert!(held(&q) * 3 < held(&vars), "{} of {} bytes", held(&q), held(&vars));
    }

    #[test]
    fn rows_of_tables_are_those_of_the_whole() {
        let tokens = crate::typed_input("t", DType::I32, dims![_]);
        let model = tokens.layer(crate::Embedding::new(9, 6)).model();
        let vars = model.init(key(0), &types![i32[_]]).unwrap();
        let indices = tensor([3, 0, 8, 5, 4]);
        for scheme in [Scheme::Int8, Scheme::Int4 { group: 4 }, Scheme::Int4 { group: 3 }] {
            let q = weights(&vars, "**.table", scheme).unwrap().vars;
            let q = crate::lora::wrap(&q, "**.table", &crate::Lora::new(2), key(1)).unwrap();
            let mut q = q;
            let b = key(2).normal([2, 6]);
            q.set("embedding.table_lora_b", b.clone()).unwrap();
            let whole = dequantize(&q).unwrap().get("embedding.table").unwrap();
            let whole = whole + q.get("embedding.table_lora_a").unwrap().matmul(b);
            let y = model.apply(&q, &indices, &Mode::Eval).y().clone();
            let close = y.allclose(whole.take(&indices, 0), 1e-5, 1e-5).item().unwrap() == 1.0;
            assert!(close, "{scheme:?}: {y}");
        }
    }

    #[test]
    fn bags_of_quantized_tables_are_those_of_the_whole() {
        use crate::{BagMode, EmbeddingBag};
        let tokens = crate::typed_input("t", DType::I32, dims![_, _]);
        let indices = tensor([[3, 0, 8, 5], [4, 4, 1, 1]]);
        for mode in [BagMode::Mean, BagMode::Sum, BagMode::Max] {
            let bag = EmbeddingBag::new(9, 6).mode(mode).padding(1).max_norm(2.0);
            let model = tokens.layer(bag).model();
            let vars = model.init(key(0), &types![i32[_, _]]).unwrap();
            for scheme in [Scheme::Int8, Scheme::Int4 { group: 3 }, Scheme::DynamicInt8] {
                let q = weights(&vars, "**.table", scheme).unwrap().vars;
                assert!(q.params.is_empty(), "{:?}", q.params);
                let run = |vars: &Vars| model.apply(vars, &indices, &Mode::Eval).y().clone();
                let (found, want) = (run(&q), run(&dequantize(&q).unwrap()));
                let close = found.allclose(&want, 1e-5, 1e-5).item().unwrap() == 1.0;
                assert!(close, "{mode:?}, {scheme:?}: {found} {want}");
                let exact = run(&vars);
                let close = found.allclose(&exact, 0.2, 0.3).item().unwrap() == 1.0;
                assert!(close, "{mode:?}, {scheme:?}: {found} {exact}");
            }
        }
    }

    #[test]
    fn integers_stand_for_the_nearest_multiples() {
        let mut vars = Vars::default();
        let w = tensor([[1.27, -0.5], [0.011, 0.3], [-1.27, 0.0]]);
        vars.params.entry("dense".into()).or_default().insert("kernel".into(), w);
        let q = weights(&vars, "**", Scheme::Int8).unwrap().vars;
        let values = q.state["quantized.dense.kernel"]["values"].to_vec::<i8>().unwrap();
        assert_eq!(values, [127, -127, 1, 76, -127, 0]);
        // Of 3 rows, the last group has one.
        let q = weights(&vars, "**", Scheme::Int4 { group: 2 }).unwrap();
        let back = dequantize(&q.vars).unwrap().get("dense.kernel").unwrap();
        let want = tensor([[1.27, -0.5], [0.0, 2.0 / 7.0], [-1.27, 0.0]]);
        assert!(back.allclose(want, 1e-5, 1e-6).item().unwrap() == 1.0, "{back}");
        assert_eq!(q.vars.state["quantized.dense.kernel"]["values"].shape(), [2, 2]);
    }

    #[test]
    fn zeros_frozen_and_narrow_parameters_are_quantized() {
        let mut vars = vars().map_leaves(|t| t.to(F16));
        vars.set("dense.kernel", vars.get("dense.kernel").unwrap().zeros_like()).unwrap();
        vars.freeze("conv.*").unwrap();
        for scheme in SCHEMES {
            let q = weights(&vars, "**", scheme).unwrap();
            assert_eq!(q.report.len(), 3);
            assert_eq!(q.vars.frozen(), ["conv.bias"]);
            assert!(q.report.iter().any(|p| p.relative_error == 0.0));
            assert!(output(&q.vars).is_finite().all(..).item().unwrap() == 1.0);
        }
    }

    #[test]
    fn invalid_uses_are_errors() {
        let message = |vars: &Vars, mask: &str, scheme| {
            weights(vars, mask, scheme).unwrap_err().message().to_string()
        };
        assert!(message(&vars(), "x.*", Scheme::Int8).contains("of one of the parameters"));
        assert!(message(&vars(), "**.bias", Scheme::Int8).contains("two or more axes"));
        assert!(message(&vars(), "**", Scheme::Int4 { group: 0 }).contains("at least 1 input"));
        let mut bad = vars();
        let kernel = bad.get("dense.kernel").unwrap();
        bad.set("dense.kernel", kernel.full_like(f64::NAN)).unwrap();
        assert!(message(&bad, "**", Scheme::Int8).contains("finite numbers in `dense.kernel`"));
        let q = weights(&vars(), "**.kernel", Scheme::Int4 { group: 4 }).unwrap().vars;
        let other = input("x", dims![_, 3, 20]).layer(Conv::new(9, 5)).model();
        let y = other.apply(&q, Tensor::zeros([1, 3, 20]), &Mode::Eval);
        let e = y.y().error().unwrap().to_string();
        assert!(
            e.contains("a quantized parameter of shape [9, 3, 5]") && e.contains("conv"),
            "{e}"
        );
    }
}
