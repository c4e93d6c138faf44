//! Policies of precision: parameters in f32, computations in bf16 or f16.
//!
//! A policy wraps the layers of a model: a wrapped layer gets its inputs and parameters in the
//! dtype of the policy, and creates its parameters in another one, by default f32. Normalizations,
//! softmax and cross-entropy are computed in f32, since they sum squares or exponentials, and so
//! are recurrent layers, whose rounded state would feed back: see
//! [`LayerPrecision`](crate::LayerPrecision), which a layer states. Means and variances of a
//! normalization are state, which stays in f32. The gradients of parameters in f32 are f32.

use crate::layer_precision::LayerDTypes;
use crate::model_layer::ModelLayer;
use crate::node::NodeKind;
use crate::{Cx, Layer, LayerPrecision, MaskRule, Model, Net, Node, VisitedLayer};
use neurax_tensor::{DType, Result, Tensor};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::sync::Arc;

/// A choice of the dtypes in which a model computes.
///
/// # Examples
///
/// ```
/// use neurax::prelude::*;
/// let model = nn::input("x", dims![_, 4]).dense(8).relu().layer_norm().dense(2).model();
/// let mixed = nn::Policy::mixed(BF16).apply(&model);
/// let vars = mixed.init(key(0), &types![f32[_, 4]])?;
/// assert_eq!(vars.params["dense"]["kernel"].dtype(), F32);
/// let x = key(1).normal([3, 4]);
/// let (y, seen) = mixed.apply_capturing(&vars, &x, &Mode::Eval, "relu")?;
/// assert_eq!((seen["relu"][0].dtype(), y.y().dtype()), (BF16, F32));
/// let exact = model.apply(&vars, &x, &Mode::Eval);
/// assert_eq!(y.y().allclose(exact.y(), 0.05, 0.05).item()?, 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    layers: LayerDTypes,
    output: DType,
}

impl Policy {
    /// Creates the policy of layers that compute in `compute`, usually `BF16` or `F16`, with
    /// parameters and outputs of the model in f32. With `F16`, small gradients become 0 and large
    /// ones infinite, which a [`LossScale`](crate::optim::LossScale) prevents.
    pub fn mixed(compute: DType) -> Policy {
        Policy { layers: LayerDTypes { compute, params: None }, output: DType::F32 }
    }

    /// Sets the dtype of the float parameters that the layers create; without it, they are f32.
    /// [`Vars::cast`](crate::Vars::cast) converts those that exist.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 4]).dense(2).model();
    /// let narrow = nn::Policy::mixed(BF16).params(BF16).apply(&model);
    /// let vars = narrow.init(key(0), &types![f32[_, 4]])?;
    /// assert_eq!(vars.params["dense"]["kernel"].dtype(), BF16);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn params(self, dtype: DType) -> Policy {
        Policy { layers: LayerDTypes { params: Some(dtype), ..self.layers }, ..self }
    }

    /// Sets the dtype of the outputs of the model.
    pub fn output(self, output: DType) -> Policy {
        Policy { output, ..self }
    }

    /// Applies the policy to all layers. The result is a new model with the same variables.
    #[track_caller]
    pub fn apply(&self, model: &Model) -> Model {
        self.with_outputs(&model.map(|l| self.wrapped(l)))
    }

    /// Applies the policy to the layers whose path matches a pattern. Others compute in the dtype
    /// to which their inputs and parameters are promoted, e.g. bf16 and f32 to f32.
    ///
    /// # Errors
    /// If the pattern matches no layer or is malformed.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let encoder = nn::block("encoder", |x| x.dense(8).relu());
    /// let model = encoder.call(nn::input("x", dims![_, 4])).dense(2).named("head").model();
    /// let mixed = nn::Policy::mixed(F16).apply_to(&model, "encoder.**")?;
    /// let vars = mixed.init(key(0), &types![f32[_, 4]])?;
    /// let x = Tensor::ones([1, 4]);
    /// let (_, seen) = mixed.apply_capturing(&vars, &x, &Mode::Eval, "**")?;
    /// assert_eq!((seen["encoder.relu"][0].dtype(), seen["head"][0].dtype()), (F16, F32));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply_to(&self, model: &Model, pattern: &str) -> Result<Model> {
        let pattern = model.layer_pattern(pattern)?;
        let wrapped = |l: &VisitedLayer| pattern.matches(&l.path).then(|| self.wrapped(l))?;
        Ok(self.with_outputs(&model.map(wrapped)))
    }

    /// Applies the policy to all layers but those whose path matches a pattern. These compute as
    /// the others of [`Policy::apply_to`].
    ///
    /// # Errors
    /// If the pattern matches no layer or is malformed.
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 4]).dense(8).relu().dense(2).named("head").model();
    /// let mixed = nn::Policy::mixed(BF16).apply_except(&model, "head")?;
    /// let vars = mixed.init(key(0), &types![f32[_, 4]])?;
    /// let (_, seen) = mixed.apply_capturing(&vars, Tensor::ones([1, 4]), &Mode::Eval, "**")?;
    /// assert_eq!((seen["relu"][0].dtype(), seen["head"][0].dtype()), (BF16, F32));
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn apply_except(&self, model: &Model, pattern: &str) -> Result<Model> {
        let pattern = model.layer_pattern(pattern)?;
        let wrapped = |l: &VisitedLayer| (!pattern.matches(&l.path)).then(|| self.wrapped(l))?;
        Ok(self.with_outputs(&model.map(wrapped)))
    }

    /// Returns a node in place of a layer, which computes in the dtype of the policy.
    fn wrapped(&self, l: &VisitedLayer) -> Option<Node> {
        let NodeKind::Layer(layer) = l.node.kind() else { return None };
        let (layer, _) = InDType::unwrapped(layer);
        let kind = NodeKind::Layer(InDType::wrapped(layer.clone(), Some(self.layers)));
        Some(l.node.rebuilt(l.node.name(), l.node.inputs().to_vec(), kind))
    }

    /// Returns the model with outputs of the dtype of the policy.
    #[track_caller]
    fn with_outputs(&self, model: &Model) -> Model {
        let graph = model.graph();
        let converted = graph.outputs.iter().map(|o| {
            let node = graph.nodes[o.value.node].node.sibling(o.value.output);
            (o.name.clone(), node.layer(OutputOf { dtype: Some(self.output) }))
        });
        Model::new(converted)
    }
}

impl Net {
    /// Returns the network for inference in `dtype`, usually `BF16` or `F16`: float parameters are
    /// converted, which halves their memory, and layers compute as with [`Policy::mixed`].
    ///
    /// # Examples
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 3]).dense(2).model();
    /// let net = model.bind(model.init(key(0), &types![f32[_, 3]])?);
    /// let small = net.cast(F16);
    /// assert_eq!(small.vars.params["dense"]["kernel"].dtype(), F16);
    /// let x = key(1).normal([4, 3]);
    /// let (y, z) = (net.apply(&x), small.apply(&x));
    /// assert_eq!(z.y().allclose(y.y(), 1e-2, 1e-2).item()?, 1.0);
    /// # Ok::<(), Error>(())
    /// ```
    #[track_caller]
    pub fn cast(&self, dtype: DType) -> Net {
        Policy::mixed(dtype).apply(&self.model).bind(self.vars.cast(dtype))
    }
}

/// The layer that converts an output of a model.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct OutputOf {
    #[serde(with = "crate::saved::fields::dtype")]
    dtype: Option<DType>,
}

impl Layer for OutputOf {
    const NAME: &'static str = "output";
    type Output = Tensor;

    fn mask_rule(&self) -> MaskRule {
        MaskRule::Keep
    }

    fn apply(&self, _: &mut Cx, [y]: [Tensor; 1]) -> Tensor {
        self.dtype.map_or(y.clone(), |dtype| cast(&y, dtype))
    }
}

/// A layer that gets its inputs and parameters in another dtype.
pub(crate) struct InDType {
    layer: Arc<dyn ModelLayer>,
    dtypes: LayerDTypes,
}

impl InDType {
    /// Returns a layer that computes in other dtypes, if these are not `None`.
    pub fn wrapped(layer: Arc<dyn ModelLayer>, dtypes: Option<LayerDTypes>) -> Arc<dyn ModelLayer> {
        match dtypes {
            Some(dtypes) => Arc::new(InDType { layer, dtypes }),
            None => layer,
        }
    }

    /// Returns the layer itself, and the dtypes in which it computes if a policy set these.
    pub fn unwrapped(layer: &Arc<dyn ModelLayer>) -> (&Arc<dyn ModelLayer>, Option<LayerDTypes>) {
        match (layer.as_ref() as &dyn Any).downcast_ref::<InDType>() {
            Some(InDType { layer, dtypes }) => (layer, Some(*dtypes)),
            None => (layer, None),
        }
    }
}

impl ModelLayer for InDType {
    fn kind(&self) -> &str {
        self.layer.kind()
    }

    fn is_choice(&self) -> bool {
        self.layer.is_choice()
    }

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        let LayerDTypes { compute, params } = self.dtypes;
        let full = compute.at_least_f32();
        let (within, output) = match self.precision() {
            LayerPrecision::OfPolicy => (compute, compute),
            LayerPrecision::Full => (full, compute),
            LayerPrecision::FullOutput => (full, full),
        };
        cx.set_dtypes(LayerDTypes { compute: within, params });
        let inputs: Vec<Tensor> = inputs.iter().map(|x| cast(x, within)).collect();
        let outputs = self.layer.apply(cx, &inputs);
        outputs.iter().map(|y| cast(y, output)).collect()
    }
}

/// Converts a float; other tensors stay.
fn cast(x: &Tensor, dtype: DType) -> Tensor {
    match x.error().is_none() && x.dtype().is_float() {
        true => x.to(dtype),
        false => x.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dense, Mode, block, concat, input, typed_input};
    use neurax_tensor::dtype_consts::{BF16, F16, F32, I32};
    use neurax_tensor::{dims, key, tensor, types, value_and_grad_at};

    #[test]
    fn layers_compute_in_the_policy_and_sums_in_f32() {
        let tower = block("tower", |x| x.dense(4).layer_norm());
        let x = input("x", dims![_, 4]);
        let model = concat([tower.call(&x), tower.call(&x)], -1).softmax().model();
        let mixed = Policy::mixed(BF16).apply(&model);
        let vars = mixed.init(key(0), &types![f32[_, 4]]).unwrap();
        let (out, seen) =
            mixed.apply_capturing(&vars, Tensor::ones([2, 4]), &Mode::Eval, "**").unwrap();
        for path in ["tower.dense", "tower.layer_norm", "concat"] {
            assert_eq!(seen[path][0].dtype(), BF16, "{path}");
        }
        assert_eq!(seen["softmax"][0].dtype(), F32);
        assert_eq!(out.y().dtype(), F32);
        assert!(vars.params.values().flat_map(|l| l.values()).all(|t| t.dtype() == F32));
        let narrow = Policy::mixed(F16).params(BF16).apply(&model);
        let narrow_vars = narrow.init(key(0), &types![f32[_, 4]]).unwrap();
        assert!(narrow_vars.params.values().flat_map(|l| l.values()).all(|t| t.dtype() == BF16));
        assert!(narrow.summary().contains("total"));
        let narrow = Policy::mixed(F16).output(F16).apply(&model);
        assert_eq!(narrow.apply(&vars, Tensor::ones([2, 4]), &Mode::Eval).y().dtype(), F16);
    }

    #[test]
    fn activations_and_wrappers_have_the_precision_of_what_they_compute() {
        use crate::{Bidirectional, Gru, Lstm, RmsNorm, Softmax, TimeDistributed, WeightNorm};
        let precision = |node: &Node| match node.kind() {
            NodeKind::Layer(layer) => Some(layer.precision()),
            _ => None,
        };
        let x = input("x", dims![_, 4, 3]);
        for node in [x.softmax(), x.log_softmax(), x.layer(TimeDistributed::new(Softmax::new(1)))] {
            assert_eq!(precision(&node), Some(LayerPrecision::FullOutput), "{node:?}");
        }
        for node in [
            x.layer(Bidirectional::new(Gru::new(2))),
            x.layer(WeightNorm::new(Lstm::new(2))),
            x.layer(TimeDistributed::new(RmsNorm::new())),
            x.layer(Lstm::new(2).return_state()).0,
        ] {
            assert_eq!(precision(&node), Some(LayerPrecision::Full), "{node:?}");
        }
        for node in [x.relu(), x.layer(TimeDistributed::new(Dense::new(2)))] {
            assert_eq!(precision(&node), Some(LayerPrecision::OfPolicy), "{node:?}");
        }
    }

    #[test]
    fn exponentials_of_large_inputs_are_finite_in_f16() {
        let x = input("x", dims![_, 2]);
        let model = x.layer(crate::LogSumExp::new(-1)).model();
        let mixed = Policy::mixed(F16).apply(&model);
        let y = mixed.apply(&crate::Vars::default(), tensor([[1e5, 1e5]]), &Mode::Eval);
        assert!((y.y().item().unwrap() - 1e5).abs() < 10.0, "{}", y.y());
    }

    #[test]
    fn recurrent_kernels_are_not_rounded() {
        let model = input("x", dims![_, 5, 3]).layer(crate::Lstm::new(4)).model();
        let vars = model.init(key(0), &types![f32[_, 5, 3]]).unwrap();
        let x = key(1).normal([2, 5, 3]).to(BF16).to(F32);
        let want = model.apply(&vars, &x, &Mode::Eval).y().to(BF16).to(F32).to_vec::<f32>();
        let found = Policy::mixed(BF16).apply(&model).apply(&vars, &x, &Mode::Eval);
        assert_eq!(found.y().to(BF16).to(F32).to_vec::<f32>().unwrap(), want.unwrap());
    }

    #[test]
    fn norms_of_large_inputs_are_finite_in_f16() {
        let model = input("x", dims![_, 2]).rms_norm().model();
        let mixed = Policy::mixed(F16).apply(&model);
        let vars = mixed.init(key(0), &types![f32[_, 2]]).unwrap();
        let y = mixed.apply(&vars, tensor([[1e5, 2e5]]), &Mode::Eval);
        let want = model.apply(&vars, tensor([[1e5, 2e5]]), &Mode::Eval);
        assert!(y.y().allclose(want.y(), 1e-2, 1e-2).item().unwrap() == 1.0, "{}", y.y());
    }

    #[test]
    fn gradients_are_f32_and_near_those_in_f32() {
        let model = input("x", dims![_, 4]).dense(8).tanh().dense(1).model();
        let mixed = Policy::mixed(BF16).apply(&model);
        let vars = model.init(key(0), &types![f32[_, 4]]).unwrap();
        let x = key(1).normal([16, 4]);
        let gradient = |model: &Model| {
            value_and_grad_at(&vars.params, |p| {
                model.apply_with(&p, &vars.state, &x, &Mode::Eval).y().square().mean(..)
            })
            .1
        };
        let (found, want) = (gradient(&mixed), gradient(&model));
        let (found, want) = (&found["dense"]["kernel"], &want["dense"]["kernel"]);
        assert_eq!(found.dtype(), F32);
        assert!(found.allclose(want, 0.05, 0.02).item().unwrap() == 1.0, "{found} {want}");
    }

    #[test]
    fn integers_and_state_stay() {
        let tokens = typed_input("tokens", I32, dims![_]);
        let model = tokens.layer(crate::Embedding::new(5, 3)).layer(crate::BatchNorm::new());
        let mixed = Policy::mixed(BF16).apply(&model.model());
        let vars = mixed.init(key(0), &types![i32[_]]).unwrap();
        let out = mixed.apply(&vars, tensor([1, 2, 3]), &Mode::Train(key(1)));
        assert!(out.y().error().is_none(), "{}", out.y());
        assert!(out.state.values().flat_map(|l| l.values()).all(|t| t.dtype() == F32));
        let net = mixed.bind(vars).cast(F16);
        assert!(net.apply(tensor([4, 0])).y().error().is_none());
        assert_eq!(net.vars.state["batch_norm"]["mean"].dtype(), F32);
        assert_eq!(net.vars.params["embedding"]["table"].dtype(), F16);
    }

    #[test]
    fn policies_are_saved_with_the_model_and_the_last_one_counts() {
        let model = input("x", dims![_, 4]).dense(8).relu().dense(2).model();
        let mixed = Policy::mixed(F16).apply_to(&model, "dense").unwrap();
        let net = Policy::mixed(BF16).params(F16).apply_to(&mixed, "dense").unwrap();
        let net = net.bind(model.init(key(0), &types![f32[_, 4]]).unwrap());
        let folder = std::env::temp_dir().join(format!("neurax-policy-{}", std::process::id()));
        net.save(&folder).unwrap();
        let loaded = Net::load(&folder);
        std::fs::remove_dir_all(&folder).unwrap();
        let loaded = loaded.unwrap();
        let x = key(1).normal([3, 4]);
        let (out, seen) =
            loaded.model.apply_capturing(&loaded.vars, &x, &Mode::Eval, "**").unwrap();
        assert_eq!((seen["dense"][0].dtype(), seen["dense_1"][0].dtype()), (BF16, F32));
        let vars = loaded.model.init(key(1), &types![f32[_, 4]]).unwrap();
        assert_eq!(vars.params["dense"]["kernel"].dtype(), F16);
        assert_eq!(vars.params["dense_1"]["kernel"].dtype(), F32);
        let (found, want) = (out.y().to_vec::<f32>(), net.apply(&x).y().to_vec::<f32>());
        assert_eq!(found.unwrap(), want.unwrap());
    }

    #[test]
    fn layers_of_a_block_are_excepted() {
        let tower = block("tower", |x| x.dense(4).dense(4));
        let model = tower.call(input("x", dims![_, 4])).dense(2).model();
        let mixed = Policy::mixed(BF16).params(BF16).apply_except(&model, "tower.dense*").unwrap();
        let vars = mixed.init(key(0), &types![f32[_, 4]]).unwrap();
        let x = Tensor::ones([1, 4]);
        let (_, seen) = mixed.apply_capturing(&vars, x, &Mode::Eval, "**").unwrap();
        for (path, dtype) in [("tower.dense", F32), ("tower.dense_1", F32), ("dense", BF16)] {
            assert_eq!((seen[path][0].dtype(), vars.params[path]["bias"].dtype()), (dtype, dtype));
        }
    }

    #[test]
    fn a_pattern_of_no_layer_is_an_error() {
        let model = input("x", dims![_, 4]).dense(8).model();
        let e = Policy::mixed(BF16).apply_to(&model, "head").unwrap_err();
        assert!(e.message().contains("one of the layers x, dense; got `head`"), "{e}");
        let e = Policy::mixed(BF16).apply_except(&model, "head").unwrap_err();
        assert!(e.message().contains("one of the layers x, dense; got `head`"), "{e}");
    }
}
