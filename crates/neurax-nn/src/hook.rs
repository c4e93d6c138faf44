//! Functions that see what layers compute, and the outputs of layers in the middle of a model.

use crate::evaluate::Observer;
use crate::layer::Closure;
use crate::model_graph::ModelNode;
use crate::model_layer::ModelLayer;
use crate::node::NodeKind;
use crate::path_pattern::PathPattern;
use crate::{Applied, Cx, Inputs, LayerPrecision, Mode, Model, Node, Vars};
use neurax_tensor::{Result, Tensor, io_call};
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
        if self.mode.includes(cx.training()) { seen(&self.f, cx.path(), outputs) } else { outputs }
    }
}

impl Model {
    /// Attaches a function to all layers whose path matches a pattern: when the model is applied,
    /// it gets the path and each output of these layers. The result is a new model with the same
    /// paths. In a pattern, `*` stands for any characters but dots, and `**` for any number of
    /// names.
    ///
    /// A pattern that matches no layer but blocks, such as `tower` beside `tower.**`, attaches the
    /// function to these: it gets each output at each call. Behind an input or a block there is a
    /// further layer `hook`.
    ///
    /// The function sees values, also in a compiled program (`jit`, the step of a trainer): there
    /// it is called by [`io_call`](neurax_tensor::io_call), each time that the program runs.
    /// [`Model::apply_capturing`] returns the values instead.
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
    /// hooked.apply(&vars, Tensor::ones([3, 2]), &Mode::Eval);
    /// hooked.apply(&vars, Tensor::ones([4, 2]), &Mode::Train(key(1)));
    /// let predict = jit(move |x: Tensor| hooked.apply(&vars, x, &Mode::Eval).y().clone());
    /// for _ in 0..2 {
    ///     predict.run(Tensor::ones([1, 2]))?;
    /// }
    /// assert_eq!(*seen.lock().unwrap(), ["relu: [3, 2]", "relu: [1, 2]", "relu: [1, 2]"]);
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
        let f: Arc<HookFn> = Arc::new(f);
        let found = self.layer_pattern(pattern);
        let mut count = 0;
        if found.is_err()
            && let Ok(pattern) = PathPattern::parse(pattern)
        {
            let model = self.map_where(is_block, |l| {
                let is_chosen = pattern.matches(&l.path);
                count += usize::from(is_chosen);
                is_chosen.then(|| hooked(&l.node, &l.path, mode, &f))
            });
            if count > 0 {
                return Ok(model);
            }
        }
        let pattern = found?;
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

/// Returns true if a node is the call of a block.
fn is_block(n: &ModelNode, _: &str) -> bool {
    matches!(n.node.kind(), NodeKind::Block(_))
}

/// Calls `f` with the path and each of `outputs` when these have values, and returns them.
#[track_caller]
fn seen(f: &Arc<HookFn>, path: &str, outputs: Vec<Tensor>) -> Vec<Tensor> {
    let mut out = vec![];
    for y in outputs {
        let (f, path) = (f.clone(), path.to_string());
        let see = move |y: Tensor| {
            f(&path, &y);
            Ok(())
        };
        out.push(io_call(see, y));
    }
    out
}

/// Returns a node in place of `node`, whose outputs `f` sees.
fn hooked(node: &Node, path: &str, mode: HookMode, f: &Arc<HookFn>) -> Node {
    let f = f.clone();
    match node.kind() {
        NodeKind::Layer(layer) => {
            let kind = NodeKind::Layer(Arc::new(Hooked { layer: layer.clone(), mode, f }));
            node.rebuilt(node.name(), node.inputs().to_vec(), kind)
        }
        NodeKind::Input(_) | NodeKind::Argument | NodeKind::Block(_) => {
            let path = path.to_string();
            let see = move |cx: &mut Cx, ys: &[Tensor]| {
                let ys = ys.to_vec();
                if mode.includes(cx.training()) { seen(&f, &path, ys) } else { ys }
            };
            let kind = NodeKind::Layer(Arc::new(Closure { kind: "hook".into(), f: see }));
            let outputs = (0..node.outputs()).map(|i| node.sibling(i)).collect();
            Node::first_output("hook", outputs, kind, node.outputs(), None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{block, input};
    use neurax_tensor::{dims, tensor};
    use std::sync::Mutex;

    #[test]
    fn a_hook_of_a_block_sees_each_output_at_each_call() {
        let pair = block("pair", |x| (&x * 2.0, &x + 1.0));
        let outer = block("outer", |x| {
            let (a, b) = pair.call(&x);
            pair.call(a - b).0
        });
        let model = outer.call(input("x", dims![_])).relu().model();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let hook = |pattern: &str, mode| {
            let sink = seen.clone();
            let see = move |path: &str, y: &Tensor| {
                sink.lock().unwrap().push((path.to_string(), y.to_vec::<f32>().unwrap()[0]));
            };
            model.hook(pattern, mode, see)
        };
        let run = |model: &Model, mode| {
            seen.lock().unwrap().clear();
            let y = model.apply(&Vars::default(), tensor([5.0]), &mode).y().item().unwrap();
            assert_eq!(y, 8.0, "a hook changes nothing");
            seen.lock().unwrap().clone()
        };
        let at = |path: &str, y: f32| (path.to_string(), y);
        let calls = [10.0, 6.0, 8.0, 5.0].map(|y| at("outer.pair", y));
        let hooked = hook("outer.pair", HookMode::Eval).unwrap();
        assert_eq!(run(&hooked, Mode::Eval), calls);
        assert!(run(&hooked, Mode::Train(neurax_tensor::key(0))).is_empty());
        let outer = hook("outer", HookMode::Both).unwrap();
        assert_eq!(run(&outer, Mode::Eval), [at("outer", 8.0)]);
        // A pattern of layers leaves out the blocks that it matches as well.
        let all = hook("outer.**", HookMode::Both).unwrap();
        let paths: Vec<String> = run(&all, Mode::Eval).into_iter().map(|(path, _)| path).collect();
        let call = ["outer.pair.multiply", "outer.pair.add"];
        assert_eq!(paths, [&call[..], &["outer.subtract"], &call].concat());
        let e = hook("inner", HookMode::Both).unwrap_err();
        assert!(e.message().contains("expected one of the layers x,"), "{e}");
        let e = hook("outer..pair", HookMode::Both).unwrap_err();
        assert!(e.message().contains("expected names with dots between them"), "{e}");
    }
}
