//! Merging of several nodes: mean, maximum, minimum, stacking, products and choice.

use crate::model_layer::ModelLayer;
use crate::precision::{at_least_f32, narrow_as};
use crate::{Cx, Layer, MaskRule, Node, layers};
use neurax_tensor::{DType, Error, Tensor, stack as stack_tensors};
use serde::{Deserialize, Serialize};
use std::borrow::Borrow;

/// A function of any number of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum MergeKind {
    Add,
    Average,
    Maximum,
    Minimum,
    Multiply,
    Stack,
}

/// The layer of the functions of several nodes.
#[derive(Serialize, Deserialize)]
pub(crate) struct Merged {
    kind: MergeKind,
    /// The axis of [`stack`].
    axis: i64,
}

impl Merged {
    #[track_caller]
    fn of<N: Borrow<Node>>(kind: MergeKind, nodes: impl IntoIterator<Item = N>, axis: i64) -> Node {
        let inputs = nodes.into_iter().map(|n| n.borrow().clone()).collect();
        Node::of_layer(inputs, Merged { kind, axis })
    }
}

impl ModelLayer for Merged {
    fn kind(&self) -> &str {
        match self.kind {
            MergeKind::Add => "add",
            MergeKind::Average => "average",
            MergeKind::Maximum => "maximum",
            MergeKind::Minimum => "minimum",
            MergeKind::Multiply => "multiply",
            MergeKind::Stack => "stack",
        }
    }

    fn mask_rule(&self) -> MaskRule {
        match self.kind {
            MergeKind::Stack => MaskRule::of_axes(&[self.axis]),
            _ => MaskRule::Keep,
        }
    }

    fn apply(&self, _: &mut Cx, xs: &[Tensor]) -> Vec<Tensor> {
        let Some((first, others)) = xs.split_first() else {
            let why = "expected at least one node, got none";
            return vec![Tensor::from_error(Error::new("merge", why))];
        };
        let fold =
            |first: &Tensor, f: fn(Tensor, &Tensor) -> Tensor| others.iter().fold(first.clone(), f);
        vec![match self.kind {
            MergeKind::Add => fold(first, |a, b| a + b),
            MergeKind::Multiply => fold(first, |a, b| a * b),
            MergeKind::Maximum => fold(first, |a, b| a.maximum(b)),
            MergeKind::Minimum => fold(first, |a, b| a.minimum(b)),
            MergeKind::Average => {
                let sum = fold(&at_least_f32(first), |a, b| a + b);
                narrow_as(first, sum / xs.len() as f64)
            }
            MergeKind::Stack => stack_tensors(xs, self.axis),
        }]
    }
}

macro_rules! merges {
    ($($(#[$doc:meta])* $name:ident $Kind:ident;)*) => {$(
        $(#[$doc])*
        #[track_caller]
        pub fn $name<N: Borrow<Node>>(nodes: impl IntoIterator<Item = N>) -> Node {
            Merged::of(MergeKind::$Kind, nodes, 0)
        }
    )*};
}

merges! {
    /// Computes the largest of the elements of several nodes, which are broadcast. The layer is
    /// called `maximum`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (nn::input("a", dims![_]), nn::input("b", dims![_]));
    /// let model = nn::maximum([a, b]).model();
    /// let inputs = [tensor([1.0, 5.0]), tensor([2.0, 3.0])];
    /// let out = model.apply(&Vars::default(), inputs, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [2.0, 5.0]);
    /// # Ok::<(), Error>(())
    /// ```
    maximum Maximum;
    /// Computes the smallest of the elements of several nodes, which are broadcast. The layer is
    /// called `minimum`.
    minimum Minimum;
    /// Computes the sum of several nodes, which are broadcast. The layer is called `add`.
    add Add;
    /// Computes the product of several nodes, element by element, which are broadcast. The layer is
    /// called `multiply`.
    multiply Multiply;
    /// Computes the mean of several nodes, which are broadcast. The layer is called `average`.
    ///
    /// ```
    /// use neurax::prelude::*;
    /// let (a, b) = (nn::input("a", dims![_]), nn::input("b", dims![_]));
    /// let model = nn::average([a, b]).model();
    /// let inputs = [tensor([1.0, 5.0]), tensor([2.0, 3.0])];
    /// let out = model.apply(&Vars::default(), inputs, &Mode::Eval);
    /// assert_eq!(out.y().to_vec::<f32>()?, [1.5, 4.0]);
    /// # Ok::<(), Error>(())
    /// ```
    average Average;
}

/// Stacks nodes of one shape along a new axis, at position `axis` of the result. The layer is
/// called `stack`. With `axis` 1 or -1, columns of a table become a matrix: Axon's
/// `stack_columns`.
///
/// ```
/// use neurax::prelude::*;
/// let (age, size) = (nn::input("age", dims![_]), nn::input("size", dims![_]));
/// let model = nn::stack([age, size], -1).model();
/// let out = model.apply(&Vars::default(), [tensor([3.0]), tensor([9.0])], &Mode::Eval);
/// assert_eq!(out.y().shape(), [1, 2]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn stack<N: Borrow<Node>>(nodes: impl IntoIterator<Item = N>, axis: i64) -> Node {
    Merged::of(MergeKind::Stack, nodes, axis)
}

/// Chooses `on_true` if `pred` is true, else `on_false`. `pred` is one bool, or one for each
/// example. The layer is called `cond`.
///
/// With one bool, only the layers that the chosen branch needs are computed, as in
/// [`neurax_tensor::cond`]: those of the other one have no effect on gradients and keep their
/// state. With a bool for each example, and under `vmap`, both branches are computed, and the one
/// that is not chosen gets no gradient. A [hook](crate::Model::hook) of a layer in a branch sees
/// types only, as in a traced function.
///
/// ```
/// use neurax::prelude::*;
/// let x = nn::input("x", dims![_, 1]);
/// let is_large = nn::layer("is_large", [&x], |_, [x]| x.gt(1.0).squeeze(-1));
/// let model = nn::cond(&is_large, &x, &(&x * 10.0)).model();
/// let out = model.apply(&Vars::default(), tensor([[0.5], [2.0]]), &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [5.0, 2.0]);
///
/// let is_any = nn::layer("is_any", [&x], |_, [x]| x.gt(1.0).any(..));
/// let model = nn::cond(&is_any, &x.dense(4).dense(1), &x).model();
/// let vars = model.init(key(0), &types![f32[_, 1]])?;
/// let out = model.apply(&vars, tensor([[0.5], [0.1]]), &Mode::Eval); // computes no `dense`
/// assert_eq!(out.y().to_vec::<f32>()?, [0.5, 0.1]);
/// # Ok::<(), Error>(())
/// ```
#[track_caller]
pub fn cond(pred: &Node, on_true: &Node, on_false: &Node) -> Node {
    Node::of_layer(vec![pred.clone(), on_true.clone(), on_false.clone()], Choice)
}

/// The layer of [`cond`].
#[derive(Serialize, Deserialize)]
pub(crate) struct Choice;

impl ModelLayer for Choice {
    fn kind(&self) -> &str {
        "cond"
    }

    fn is_choice(&self) -> bool {
        true
    }

    fn apply(&self, _: &mut Cx, inputs: &[Tensor]) -> Vec<Tensor> {
        vec![match inputs {
            [chosen] => chosen.clone(),
            [pred, a, b] => selected(pred, a, b),
            _ => {
                let why = format!("expected 3 inputs, got {}", inputs.len());
                Tensor::from_error(Error::new("cond", why))
            }
        }]
    }
}

/// Returns `a` for the examples of which `pred` is true, else `b`.
fn selected(pred: &Tensor, a: &Tensor, b: &Tensor) -> Tensor {
    let types = (pred.ty(), a.ty(), b.ty());
    let (Ok(p), Ok(t), Ok(f)) = types else { return pred.select(a, b) };
    let is_one = p.rank() == 0 || (p.rank() == 1 && p.shape.first() == t.shape.first());
    if p.dtype != DType::Bool || !is_one || t != f {
        let why = format!(
            "expected a bool, or one for each example, and two branches of one type, got {p}, {t} \
             and {f}"
        );
        return Tensor::from_error(Error::new("cond", why));
    }
    let mut shape = p.shape.to_vec();
    shape.resize(if p.rank() == 0 { 0 } else { t.rank() }, 1);
    pred.reshape(shape).select(a, b)
}

/// A layer of two inputs: the sums of products along an axis of each, for each example. The result
/// has the other axes of the first input, and then those of the second; it is `[batch, 1]` if there
/// are none. Keras's `Dot`.
///
/// ```
/// use neurax::prelude::*;
/// let (a, b) = (nn::input("a", dims![_, 2]), nn::input("b", dims![_, 2]));
/// let model = nn::Dot::new(-1, -1).call([&a, &b]).model();
/// let inputs = [tensor([[1.0, 2.0]]), tensor([[3.0, 4.0]])];
/// let out = model.apply(&Vars::default(), inputs, &Mode::Eval);
/// assert_eq!(out.y().to_vec::<f32>()?, [11.0]);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Dot {
    axes: [i64; 2],
    normalize: bool,
}

impl Dot {
    /// Creates a layer that sums over `first` of the first and `second` of the second input.
    pub fn new(first: i64, second: i64) -> Dot {
        Dot { axes: [first, second], normalize: false }
    }

    /// Divides the vectors by their norms first, so that the results are cosines.
    pub fn normalize(self) -> Dot {
        Dot { normalize: true, ..self }
    }

    /// Returns a tensor `[batch, others, summed]` and the sizes of the other axes.
    fn matrix(&self, x: &Tensor, axis: i64) -> Result<(Tensor, Vec<usize>), Error> {
        let position = layers::axes::positions("dot", x, &[axis])?[0];
        if position == 0 {
            let why = format!("expected an axis behind that of the examples, got {axis}");
            return Err(Error::new("dot", why));
        }
        let last = x.move_axis(position as i64, -1);
        let last = if self.normalize { layers::unit_norm(&last, 1e-12) } else { last };
        let shape = last.shape().to_vec();
        let (others, n) = (shape[1..shape.len() - 1].to_vec(), shape[shape.len() - 1]);
        Ok((last.reshape([shape[0], others.iter().product(), n]), others))
    }
}

impl Layer<2> for Dot {
    const NAME: &'static str = "dot";
    type Output = Tensor;

    fn apply(&self, _: &mut Cx, [a, b]: [Tensor; 2]) -> Tensor {
        let matrices = (self.matrix(&a, self.axes[0]), self.matrix(&b, self.axes[1]));
        let ((a, mut others), (b, more)) = match matrices {
            (Ok(a), Ok(b)) => (a, b),
            (Err(e), _) | (_, Err(e)) => return Tensor::from_error(e),
        };
        others.extend(more);
        if others.is_empty() {
            others.push(1);
        }
        a.matmul(b.swap_axes(-1, -2)).reshape([&[a.dim(0)], &others[..]].concat())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, layer};
    use neurax_tensor::types;

    #[test]
    fn are_layers() {
        let two = types![f32[2, 3], f32[2, 3]];
        check::nodes(|[a, b]| maximum([&a, &b, &a]), &two).unwrap();
        check::nodes(|[a, b]| minimum([a, b]), &two).unwrap();
        check::nodes(|[a, b]| add([&a, &b, &a]), &two).unwrap();
        check::nodes(|[a, b]| multiply([a, b]), &two).unwrap();
        check::nodes(|[a, b]| average([&a, &b, &a]), &two).unwrap();
        check::nodes(|[a, b]| stack([a, b], 1), &two).unwrap();
        check::nodes(|[a, b]| Dot::new(1, -1).call([a, b]), &two).unwrap();
        let others = types![f32[2, 3, 4], f32[2, 4, 2]];
        check::nodes(|[a, b]| Dot::new(2, 1).normalize().call([a, b]), &others).unwrap();
        let chosen = |[a, b]: [Node; 2]| {
            let first = layer("first", [&a], |_, [x]| x.sum(-1).gt(0.0));
            cond(&first, &a, &b)
        };
        check::nodes(chosen, &two).unwrap();
    }

    #[test]
    fn inputs_that_do_not_fit_are_errors() {
        let two = types![f32[2, 3], f32[2, 4]];
        for (f, name) in [
            (
                Box::new(|[a, b]: [Node; 2]| maximum([a, b])) as Box<dyn FnOnce([Node; 2]) -> Node>,
                "maximum",
            ),
            (Box::new(|[a, b]| stack([a, b], 0)), "stack"),
            (Box::new(|[a, b]| Dot::new(1, 1).call([a, b])), "dot"),
            (Box::new(|[a, b]| Dot::new(0, 0).call([a, b])), "dot"),
            (Box::new(|[a, b]| cond(&a, &a, &b)), "cond"),
        ] {
            let e = check::nodes(f, &two).unwrap_err().to_string();
            assert!(e.contains(&format!("in layer {name}")), "{e}");
        }
        let none = |[x]: [Node; 1]| x + average(Vec::<Node>::new());
        let e = check::nodes(none, &types![f32[1]]).unwrap_err().to_string();
        assert!(e.contains("expected at least one node, got none"), "{e}");
    }
}
