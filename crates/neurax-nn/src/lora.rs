//! LoRA: fine-tuning with updates of low rank (Hu et al., 2021,
//! <https://arxiv.org/abs/2106.09685>).
//!
//! A parameter `w` of a pretrained model stays as it is, and two small matrices `a` and `b` are
//! trained, so that layers see `w + alpha / rank · a · b`. The model does not change: adapters are
//! variables, which every layer finds. Dense layers and the projections of attention multiply with
//! `a` and `b` one after the other; for other kernels, e.g. of convolutions, which are matrices
//! `[axis 0, other axes]`, the sum is computed.
//!
//! ```
//! use neurax::prelude::*;
//! let model = nn::input("x", dims![_, 8]).dense(16).relu().dense(2).named("head").model();
//! let base = model.init(key(0), &types![f32[_, 8]])?;
//! let vars = nn::lora::wrap(&base, "**.kernel", &nn::Lora::new(2), key(1))?;
//! assert_eq!(vars.trainable(), [
//!     "dense.kernel_lora_a", "dense.kernel_lora_b", "head.kernel_lora_a", "head.kernel_lora_b",
//! ]);
//! let set = Dataset::new(key(2).normal([32, 8]), Tensor::ones([32, 2]))?;
//! let trainer = Trainer::new(&model, loss::mse, optim::adam(0.01)).vars(vars).quiet();
//! let tuned = trainer.run(&set.batched(8), epochs(5))?.vars.clone();
//! // Without adapters, for serving:
//! let merged = nn::lora::merge(&tuned)?;
//! let x = key(3).normal([4, 8]);
//! let outputs = |vars| model.apply(vars, &x, &Mode::Eval).y().clone();
//! assert_eq!(outputs(&merged).allclose(outputs(&tuned), 1e-5, 1e-5).item()?, 1.0);
//! # Ok::<(), Error>(())
//! ```
//!
//! A file of the variables holds the adapters. Loaded from a file, all parameters are trainable, as
//! always; to go on with the fine-tuning, freeze them again:
//! `vars.freeze("**")?; vars.unfreeze("**.*_lora_*")?`.

use crate::stored_param::{Adapter, LORA, QUANTIZED, entry, paths_of, shape_of};
use crate::vars::{FROZEN, remove};
use crate::{ParamMask, Vars, init};
use neurax_tensor::{DType, Error, Key, Result, Tensor, Tree};
use std::collections::BTreeMap;

/// The options of adapters.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lora {
    rank: usize,
    alpha: f64,
    dropout: f64,
}

impl Lora {
    /// Creates the options of adapters of a rank, usually 4 to 64, without dropout. `alpha` is
    /// equal to the rank, so that the update is `a · b`.
    pub fn new(rank: usize) -> Lora {
        Lora { rank, alpha: rank as f64, dropout: 0.0 }
    }

    /// Sets the factor `alpha` of `alpha / rank · a · b`.
    pub fn alpha(self, alpha: f64) -> Lora {
        Lora { alpha, ..self }
    }

    /// Sets the rate of the dropout of the inputs of the adapters in training. It is applied where
    /// an adapter multiplies inputs: in dense layers and the projections of attention.
    pub fn dropout(self, dropout: f64) -> Lora {
        Lora { dropout, ..self }
    }

    fn check(&self) -> Result<()> {
        let fail = |why: String| Err(Error::new("lora", why));
        if self.rank == 0 {
            return fail("expected a rank of at least 1, got 0".into());
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return fail(format!("expected a rate of the dropout in 0..1, got {}", self.dropout));
        }
        match self.alpha.is_finite() {
            true => Ok(()),
            false => fail(format!("expected a finite alpha, got {}", self.alpha)),
        }
    }
}

/// Freezes all parameters, and adds an adapter to each parameter with two or more axes that `mask`
/// chooses. `a` is random and `b` zero, so that the outputs do not change. To train other
/// parameters as well, e.g. a new head, call [`Vars::unfreeze`] afterwards. Quantized parameters
/// can have adapters. The pattern `**.*kernel` chooses the kernels of all layers, such as
/// `query_kernel` of attention.
///
/// # Errors
///
/// If a pattern matches no parameter, or only parameters with fewer axes or with an adapter; or if
/// an option is invalid.
pub fn wrap(vars: &Vars, mask: impl Into<ParamMask>, options: &Lora, key: Key) -> Result<Vars> {
    options.check()?;
    let all = parameters(vars)?;
    let (paths, tensors): (Vec<String>, Vec<Tensor>) = all.into_iter().unzip();
    let chosen = mask.into().select(&paths, &tensors).map_err(|why| Error::new("lora", why))?;
    let mut new = vars.clone();
    if !new.params.is_empty() {
        new.freeze("**")?;
    }
    let is_kernel = |(path, w): &(&String, &Tensor)| {
        w.rank() >= 2 && !vars.state.contains_key(&entry(LORA, path))
    };
    let chosen = paths.iter().zip(&tensors).zip(chosen).filter(|(_, chosen)| *chosen);
    let kernels: Vec<_> = chosen.map(|(kernel, _)| kernel).filter(is_kernel).collect();
    if kernels.is_empty() {
        let why = "expected a pattern of a parameter with two or more axes and without an adapter, \
                   got one of others only";
        return Err(Error::new("lora", why));
    }
    for (path, w) in kernels {
        insert_adapter(&mut new, path, w, options, &key)?;
    }
    Ok(new)
}

/// Adds the adapters to the parameters, and removes them. The parameters stay frozen.
///
/// # Errors
///
/// If there are no adapters, or if a parameter with an adapter is quantized.
pub fn merge(vars: &Vars) -> Result<Vars> {
    let mut new = vars.clone();
    for path in adapted(vars)? {
        let adapter = take_adapter(&mut new, &path)?;
        change(&mut new, &path, |w| w + adapter.update_of(w))?;
    }
    Ok(new)
}

/// Returns the adapters alone: a few variables to save for each task of a base model.
///
/// # Errors
///
/// If there are no adapters.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 8]).dense(2).model();
/// let base = model.init(key(0), &types![f32[_, 8]])?;
/// let tuned = nn::lora::wrap(&base, "**.kernel", &nn::Lora::new(1), key(1))?;
/// let adapters = nn::lora::adapters(&tuned)?;
/// assert_eq!(adapters.size(), 8 + 2);
/// let again = nn::lora::attach(&base, &adapters)?;
/// assert_eq!(again.trainable(), tuned.trainable());
/// # Ok::<(), Error>(())
/// ```
pub fn adapters(vars: &Vars) -> Result<Vars> {
    let mut of_adapters = Vars::default();
    for path in adapted(vars)? {
        let mut rest = vars.clone();
        put_adapter(&mut of_adapters, &path, take_adapter(&mut rest, &path)?)?;
    }
    Ok(of_adapters)
}

/// Freezes all parameters of `base`, and adds the adapters that [`adapters`] returned.
///
/// # Errors
///
/// If there are no adapters, or if `base` lacks a parameter of one or has it in another shape.
pub fn attach(base: &Vars, adapters: &Vars) -> Result<Vars> {
    let mut new = base.clone();
    if !new.params.is_empty() {
        new.freeze("**")?;
    }
    let of_base: BTreeMap<String, Tensor> = parameters(base)?.into_iter().collect();
    let mut rest = adapters.clone();
    for path in adapted(adapters)? {
        let adapter = take_adapter(&mut rest, &path)?;
        let (&[inputs, _], &[_, outputs]) = (&adapter.a.shape()[..], &adapter.b.shape()[..]) else {
            let got = format!("{} and {}", adapter.a.shape(), adapter.b.shape());
            let why = format!("expected an adapter of two matrices for `{path}`, got {got}");
            return Err(Error::new("lora", why));
        };
        let size = inputs * outputs;
        match of_base.get(&path) {
            Some(w) if w.size() == size => put_adapter(&mut new, &path, adapter)?,
            other => {
                let got = other.map_or("none".into(), |w| w.shape().to_string());
                let want = format!("expected a parameter `{path}` of {size} elements");
                return Err(Error::new("lora", format!("{want}, got {got}")));
            }
        }
    }
    Ok(new)
}

/// Subtracts adapters from merged parameters, and adds them as adapters again: the inverse of
/// [`merge`], up to rounding.
///
/// # Errors
///
/// As [`attach`], and if a parameter with an adapter is quantized.
pub fn unmerge(merged: &Vars, adapters: &Vars) -> Result<Vars> {
    let mut new = attach(merged, adapters)?;
    let mut rest = adapters.clone();
    for path in adapted(adapters)? {
        let adapter = take_adapter(&mut rest, &path)?;
        change(&mut new, &path, |w| w - adapter.update_of(w))?;
    }
    Ok(new)
}

/// Returns the paths of the parameters with an adapter.
///
/// # Errors
///
/// If there are none.
fn adapted(vars: &Vars) -> Result<Vec<String>> {
    let paths = paths_of(&vars.state, LORA);
    match paths.is_empty() {
        true => Err(Error::new("lora", "expected variables with adapters, got none; see `wrap`")),
        false => Ok(paths),
    }
}

/// Returns the float parameters that layers use, frozen or not; zeros for quantized ones.
fn parameters(vars: &Vars) -> Result<Vec<(String, Tensor)>> {
    let mut all = vec![];
    for path in vars.trainable().into_iter().chain(vars.frozen()) {
        let w = vars.get(&path)?;
        if w.dtype().is_float() && !path.ends_with("_lora_a") && !path.ends_with("_lora_b") {
            all.push((path, w));
        }
    }
    for path in paths_of(&vars.state, QUANTIZED) {
        // Only the shape of a quantized parameter is needed.
        let missing = || Error::bug(format!("the quantized parameter `{path}` has no shape"));
        let shape = shape_of(&vars.state, &path)?.ok_or_else(missing)?;
        all.push((path, Tensor::zeros(shape)));
    }
    Ok(all)
}

fn insert_adapter(
    vars: &mut Vars,
    path: &str,
    w: &Tensor,
    options: &Lora,
    key: &Key,
) -> Result<()> {
    let rows = w.shape()[0];
    let columns = w.shape()[1..].iter().product::<usize>();
    let dtype = w.dtype().at_least_f32();
    let a = init::lecun_uniform().make(&crate::cx::derive(key, path), &[rows, options.rank]);
    let scalar = |x: f64| Tensor::scalar(DType::F32, x);
    let adapter = Adapter {
        a: a.to(dtype),
        b: Tensor::zeros([options.rank, columns]).to(dtype),
        scale: scalar(options.alpha / options.rank as f64),
        dropout: (options.dropout > 0.0).then(|| scalar(options.dropout)),
    };
    put_adapter(vars, path, adapter)
}

/// Adds the variables of an adapter.
fn put_adapter(vars: &mut Vars, path: &str, adapter: Adapter) -> Result<()> {
    let (layer, name) = split(path)?;
    let Adapter { a, b, scale, dropout } = adapter;
    let of_layer = vars.params.entry(layer.into()).or_default();
    of_layer.insert(format!("{name}_lora_a"), a);
    of_layer.insert(format!("{name}_lora_b"), b);
    let options = [("scale", Some(scale)), ("dropout", dropout)];
    let options = options.into_iter().filter_map(|(name, t)| Some((name.to_string(), t?)));
    vars.state.insert(entry(LORA, path), options.collect());
    Ok(())
}

/// Removes the variables of an adapter.
fn take_adapter(vars: &mut Vars, path: &str) -> Result<Adapter> {
    let missing = || Error::new("lora", format!("expected the adapter of `{path}`, got a part"));
    let mut options = vars.state.remove(&entry(LORA, path)).ok_or_else(missing)?;
    let mut take = |suffix: &str| {
        let path = format!("{path}_lora_{suffix}");
        let frozen = vars.state.get_mut(FROZEN).and_then(|frozen| frozen.remove(&path));
        frozen.or_else(|| remove(&mut vars.params, &path)).ok_or_else(missing)
    };
    let (a, b) = (take("a")?, take("b")?);
    let scale = options.remove("scale").ok_or_else(missing)?;
    Ok(Adapter { a, b, scale, dropout: options.remove("dropout") })
}

/// Replaces a parameter, frozen or not, by `f` of it.
fn change(vars: &mut Vars, path: &str, f: impl Fn(&Tensor) -> Tensor) -> Result<()> {
    if vars.state.contains_key(&entry(QUANTIZED, path)) {
        let why = format!("expected a parameter `{path}` that is not quantized; dequantize first");
        return Err(Error::new("lora", why));
    }
    let new = f(&vars.get(path)?).ok()?;
    vars.set(path, new)
}

/// Splits the path of a parameter into that of its layer and its name.
fn split(path: &str) -> Result<(&str, &str)> {
    let why = || Error::new("lora", format!("expected the path of a parameter, got `{path}`"));
    path.rsplit_once('.').ok_or_else(why)
}

/// Adds the adapters of `old` to the parameters that `new` has as well. Frozen ones stay frozen.
pub(crate) fn keep_adapters(new: &mut Vars, old: &Vars) {
    for path in paths_of(&old.state, LORA) {
        let is_stored = new.state.contains_key(&entry(QUANTIZED, &path));
        if !is_stored && new.get(&path).is_err() {
            continue;
        }
        if let Some(options) = old.state.get(&entry(LORA, &path)) {
            new.state.insert(entry(LORA, &path), options.clone());
        }
        for name in ["a", "b"].map(|suffix| format!("{path}_lora_{suffix}")) {
            let frozen = old.state.get(FROZEN).and_then(|frozen| frozen.get(&name));
            if let Some(frozen) = frozen {
                let own = new.state.entry(FROZEN.into()).or_default();
                own.insert(name, frozen.clone());
            } else if let (Ok(t), Some((layer, name))) = (old.get(&name), name.rsplit_once('.')) {
                new.params.entry(layer.into()).or_default().insert(name.into(), t);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::{Scheme, weights};
    use crate::{Conv, Mode, Model, input};
    use neurax_tensor::{DType, dims, jit, key, types, value_and_grad_at};

    fn model() -> Model {
        input("x", dims![_, 2, 6]).layer(Conv::new(3, 3)).relu().flatten().dense(4).model()
    }

    fn base() -> Vars {
        model().init(key(0), &types![f32[_, 2, 6]]).unwrap()
    }

    fn output(vars: &Vars) -> Tensor {
        model().apply(vars, key(5).normal([3, 2, 6]), &Mode::Eval).y().clone()
    }

    /// Returns variables with adapters that change the outputs.
    fn tuned(options: &Lora) -> Vars {
        let mut vars = wrap(&base(), "**.kernel", options, key(1)).unwrap();
        for layer in ["conv", "dense"] {
            let b = vars.params.get_mut(layer).unwrap().get_mut("kernel_lora_b").unwrap();
            *b = key(2).normal(b.shape()) * 0.1;
        }
        vars
    }

    fn close(a: &Tensor, b: &Tensor) -> bool {
        a.allclose(b, 1e-4, 1e-5).item().unwrap() == 1.0
    }

    #[test]
    fn adapters_start_without_effect_and_add_a_product_of_low_rank() {
        let options = Lora::new(2).alpha(4.0);
        let wrapped = wrap(&base(), "**.kernel", &options, key(1)).unwrap();
        assert!(close(&output(&wrapped), &output(&base())));
        assert_eq!(wrapped.frozen(), base().trainable());
        let tuned = tuned(&options);
        let mut by_hand = base();
        for path in ["conv.kernel", "dense.kernel"] {
            let w = base().get(path).unwrap();
            let [a, b] = ["a", "b"].map(|m| tuned.get(&format!("{path}_lora_{m}")).unwrap());
            let sum = &w + a.matmul(b).reshape(w.shape().to_vec()) * 2.0;
            by_hand.set(path, sum).unwrap();
        }
        assert!(close(&output(&tuned), &output(&by_hand)));
        assert!(!close(&output(&tuned), &output(&base())));
    }

    #[test]
    fn merging_removes_adapters_and_can_be_undone() {
        let tuned = tuned(&Lora::new(2));
        let merged = merge(&tuned).unwrap();
        assert!(close(&output(&merged), &output(&tuned)));
        assert_eq!((merged.frozen(), merged.trainable()), (base().trainable(), vec![]));
        let own = adapters(&tuned).unwrap();
        let back = unmerge(&merged, &own).unwrap();
        let (w, want) = (back.get("conv.kernel").unwrap(), base().get("conv.kernel").unwrap());
        assert!(close(&w, &want));
        let attached = attach(&base(), &own).unwrap();
        assert!(close(&output(&attached), &output(&tuned)));
    }

    #[test]
    fn only_adapters_get_gradients_and_saved_ones_are_loaded() {
        let vars = tuned(&Lora::new(1));
        let (_, grads) = value_and_grad_at(&vars.params, |p| {
            let x = key(5).normal([3, 2, 6]);
            model().apply_with(&p, &vars.state, x, &Mode::Eval).y().square().sum(..)
        });
        let names: Vec<String> = grads.leaves().into_iter().map(|(path, _)| path).collect();
        assert_eq!(names, vars.trainable());
        assert!(grads["dense"]["kernel_lora_a"].abs().max(..).item().unwrap() > 0.0);
        let path = std::env::temp_dir().join(format!("neurax-lora-{}", std::process::id()));
        vars.save(&path).unwrap();
        let loaded = Vars::load(&path);
        std::fs::remove_file(&path).unwrap();
        let loaded = loaded.unwrap();
        assert!(close(&output(&loaded), &output(&vars)));
        assert_eq!((loaded.trainable(), loaded.frozen()), (vars.trainable(), vars.frozen()));
    }

    #[test]
    fn dropout_is_that_of_the_inputs_of_adapters_in_training() {
        let vars = tuned(&Lora::new(2).dropout(0.5));
        let train = |k: i64| {
            let x = key(5).normal([3, 2, 6]);
            let apply = |(vars, x): (Vars, Tensor)| {
                model().apply(&vars, x, &Mode::Train(key(k))).y().clone()
            };
            jit(apply).run((vars.clone(), x)).unwrap()
        };
        assert!(!close(&train(1), &train(2)));
        assert!(close(&output(&vars), &output(&tuned(&Lora::new(2)))));
        let others = train(1) - output(&base());
        assert!(others.abs().max(..).item().unwrap() > 0.0);
    }

    #[test]
    fn quantized_and_narrow_parameters_can_have_adapters() {
        let quantized = weights(&base(), "**.kernel", Scheme::Int8).unwrap().vars;
        let vars = wrap(&quantized, "**.kernel", &Lora::new(2), key(1)).unwrap();
        assert_eq!(vars.trainable().len(), 4);
        assert!(close(&output(&vars), &output(&quantized)));
        let e = merge(&vars).unwrap_err();
        assert!(e.message().contains("that is not quantized; dequantize first"), "{e}");
        let narrow = base().map_leaves(|t| t.to(DType::BF16));
        let vars = wrap(&narrow, "**.kernel", &Lora::new(2), key(1)).unwrap();
        assert_eq!(vars.get("dense.kernel_lora_a").unwrap().dtype(), DType::F32);
        assert_eq!(merge(&vars).unwrap().get("dense.kernel").unwrap().dtype(), DType::BF16);
    }

    #[test]
    fn a_changed_model_keeps_adapters_and_quantized_parameters() {
        let quantized = weights(&base(), "conv.kernel", Scheme::Int8).unwrap().vars;
        let mut vars = wrap(&quantized, "conv.kernel", &Lora::new(2), key(1)).unwrap();
        vars.freeze("**.*_lora_b").unwrap();
        let other = model().replace("dense", |xs| xs[0].dense(3).named("head")).unwrap();
        let new = other.init_missing(&vars, key(3), &types![f32[_, 2, 6]]).unwrap();
        assert_eq!(new.trainable(), ["conv.kernel_lora_a", "head.bias", "head.kernel"]);
        assert_eq!(new.frozen(), ["conv.bias", "conv.kernel_lora_b"]);
        assert!(new.state.contains_key("quantized.conv.kernel"));
        let features = |model: &Model, vars: &Vars| {
            let x = key(5).normal([3, 2, 6]);
            let (_, seen) = model.apply_capturing(vars, x, &Mode::Eval, "flatten").unwrap();
            seen["flatten"][0].clone()
        };
        assert!(close(&features(&other, &new), &features(&model(), &vars)));
    }

    #[test]
    fn invalid_uses_are_errors() {
        let message = |mask: &str, options: Lora| {
            wrap(&base(), mask, &options, key(1)).unwrap_err().message().to_string()
        };
        assert!(message("**.kernel", Lora::new(0)).contains("a rank of at least 1"));
        assert!(message("**", Lora::new(1).dropout(1.0)).contains("in 0..1, got 1"));
        assert!(message("**", Lora::new(1).alpha(f64::NAN)).contains("a finite alpha"));
        assert!(message("dens.*", Lora::new(1)).contains("one of the parameters conv.bias, "));
        assert!(message("**.bias", Lora::new(1)).contains("two or more axes"));
        assert!(merge(&base()).unwrap_err().message().contains("with adapters, got none"));
        let other = crate::input("x", dims![_, 3]).dense(2).model();
        let other = other.init(key(0), &types![f32[_, 3]]).unwrap();
        let e = attach(&other, &adapters(&tuned(&Lora::new(1))).unwrap()).unwrap_err();
        assert!(e.message().starts_with("expected a parameter `conv.kernel` of 18 elements"));
    }
}
