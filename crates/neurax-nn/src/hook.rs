//! Functions that see what layers compute, and the outputs of layers in the middle of a model.

use crate::evaluate::Observer;
use crate::model_layer::ModelLayer;
use crate::node::NodeKind;
use crate::{Applied, Cx, Inputs, LayerPrecision, Mode, Model, Node, Vars};
use neurax_tensor::{Result, Tensor};
use std::collections::BTreeMap;
use std::panic::Location;
use std::sync::Arc;

/// The mode in which a hook is called: see [`Model::hook`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookMode {
    /// In training.
    Train,
    /// In evaluation.
    Eval,
    /// In training and evaluation.
    Both,
}

impl HookMode {
    fn includes(self, is_training: bool) -> bool {
        match self {
            HookMode::Train => is_training,
            HookMode::Eval => !is_training,
            HookMode::Both => true,
        }
    }
}

type HookFn = dyn Fn(&str, &Tensor) + Send + Sync;

/// A layer whose outputs a function sees.
struct Hooked {
    layer: Arc<dyn ModelLayer>,
    mode: HookMode,
    f: Arc<HookFn>,
}

impl ModelLayer for Hooked {
    fn kind(&self) -> &str {
        self.layer.kind()
    }

    fn precision(&self) -> LayerPrecision {
        self.layer.precision()
    }

    fn is_choice(&self) -> bool {
        self.layer.is_choice()
    }

    fn apply(&self, cx: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        let outputs = self.layer.apply(cx, inputs);
        if self.mode.includes(cx.training()) {
            outputs.iter().for_each(|y| (self.f)(cx.path(), y));
        }
        outputs
    }
}

impl Model {
    /// Attaches a function to all layers whose path matches a pattern: when the model is applied,
    /// it gets the path and each output of these layers. The result is a new model with the same
    /// paths. In a pattern, `*` stands for any characters but dots, and `**` for any number of
    /// names.
    ///
    /// Applied to plain tensors, the function sees values. In a traced function (`jit`, `grad`,
    /// the step of a trainer), it is called while the function is traced and sees types only;
    /// [`Model::apply_capturing`] returns the values of a compiled application.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// use std::sync::{Arc, Mutex};
    /// let model = nn::input("x", dims![_, 2]).dense(2).relu().model();
    /// let seen = Arc::new(Mutex::new(Vec::new()));
    /// let (sink, mode) = (seen.clone(), nn::HookMode::Eval);
    /// let hooked = model.hook("relu", mode, move |path, y| {
    ///     if let Ok(mut sink) = sink.lock() {
    ///         sink.push(format!("{path}: {}", y.shape()));
    ///     }
    /// })?;
    /// let vars = hooked.init(key(0), &types![f32[_, 2]])?;
    /// seen.lock().unwrap().clear(); // `init` computes the types of the layers, too
    /// hooked.apply(&vars, Tensor::ones([3, 2]), &Mode::Eval);
    /// hooked.apply(&vars, Tensor::ones([4, 2]), &Mode::Train(key(1)));
    /// assert_eq!(*seen.lock().unwrap(), ["relu: [3, 2]"]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the pattern matches no layer or is malformed.
    #[track_caller]
    pub fn hook(
        &self,
        pattern: &str,
        mode: HookMode,
        f: impl Fn(&str, &Tensor) + Send + Sync + 'static,
    ) -> Result<Model> {
        let (pattern, f) = (self.layer_pattern(pattern)?, Arc::new(f));
        Ok(self.map(|l| pattern.matches(&l.path).then(|| hooked(&l.node, &l.path, mode, &f))))
    }

    /// Applies the model and returns, beside the result, the outputs of all inputs and layers whose
    /// path matches a pattern, by path; those of a block or shared layer at their first call. It
    /// works under `jit` and `grad`, too. Both branches of a [`cond`](crate::cond) are computed.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 2]).dense(4).relu().dense(1).model();
    /// let vars = model.init(key(0), &types![f32[_, 2]])?;
    /// let x = Tensor::ones([3, 2]);
    /// let (out, seen) = model.apply_capturing(&vars, &x, &Mode::Eval, "dense*")?;
    /// assert_eq!(out.y().shape(), [3, 1]);
    /// assert_eq!(seen.keys().collect::<Vec<_>>(), ["dense", "dense_1"]);
    /// assert_eq!(seen["dense"][0].shape(), [3, 4]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// If the pattern matches no layer or is malformed.
    #[track_caller]
    pub fn apply_capturing(
        &self,
        vars: &Vars,
        inputs: impl Inputs,
        mode: &Mode,
        pattern: &str,
    ) -> Result<(Applied, BTreeMap<String, Vec<Tensor>>)> {
        let (pattern, at) = (self.layer_pattern(pattern)?, Location::caller().into());
        let mut seen = BTreeMap::new();
        let mut observe = |path: &str, values: &[Tensor]| {
            if pattern.matches(path) {
                seen.insert(path.to_string(), values.to_vec());
            }
        };
        let inputs = inputs.inputs();
        let observe: Observer = Some(&mut observe);
        let applied = self.apply_named(&vars.params, &vars.state, inputs, mode, observe, &at);
        Ok((applied, seen))
    }
}

/// Returns a node in place of `node`, whose outputs `f` sees.
fn hooked(
    node: &Node,
    path: &str,
    mode: HookMode,
    f: &Arc<impl Fn(&str, &Tensor) + Send + Sync + 'static>,
) -> Node {
    match node.kind() {
        NodeKind::Layer(layer) => {
            let (layer, f) = (layer.clone(), f.clone() as Arc<HookFn>);
            let kind = NodeKind::Layer(Arc::new(Hooked { layer, mode, f }));
            node.rebuilt(node.name(), node.inputs().to_vec(), kind)
        }
        NodeKind::Input(_) | NodeKind::Argument | NodeKind::Block(_) => {
            let (path, f) = (path.to_string(), f.clone());
            crate::layer("hook", [node], move |cx, [x]| {
                if mode.includes(cx.training()) {
                    f(&path, &x);
                }
                x
            })
        }
    }
}
