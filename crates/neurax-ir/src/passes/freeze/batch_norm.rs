//! Folding of batch normalizations into the product in front of them.
//!
//! With given statistics a batch normalization is `y * factor + shift` for each channel of `y`. If
//! `y` is a convolution or a product with constant weights, the factor belongs to the weights, and
//! what remains is a shift, the bias that most networks have anyway:
//!
//! ```text
//! batch_norm(conv(x, w) + b)  ->  conv(x, w * factor) + ((b - mean) * factor + bias)
//! ```
//!
//! Both are constants, which [`super::freeze`] computes before all calls. The product must have no
//! other reader. The results differ by the rounding of the weights.

use super::binding_times::constant_values;
use crate::composite::{BatchNormInference, Composite};
use crate::op::{Binary, Broadcast};
use crate::passes::replace::replace_equations;
use crate::{Builder, DType, Eqn, Graph, Op, Result, Value, Values};

/// A product in front of a normalization.
struct NormalizedProduct<'g> {
    product: &'g Eqn,
    /// The axis of the weights that is the axis of the channels.
    weight_axis: usize,
    /// A constant that is added to the product, one number for each channel, with axes of size 1.
    bias: Option<Value>,
}

/// Folds the batch normalizations whose product has constant weights: the factors go into the
/// weights, and a shift remains. Returns `None` if there are none. `is_constant` has an element for
/// each input.
///
/// # Errors
/// If the graph is invalid.
pub fn fold_batch_norms(graph: &Graph, is_constant: &[bool]) -> Result<Option<Graph>> {
    let search = NormSearch::new(graph, is_constant);
    let found: Vec<Option<(&BatchNormInference, NormalizedProduct)>> =
        graph.eqns().iter().map(|e| search.product_before(e)).collect();
    if found.iter().all(Option::is_none) {
        return Ok(None);
    }
    let folded = replace_equations(graph, |b, i, env| {
        let Some((norm, found)) = &found[i] else { return Ok(None) };
        let of = |v: &Value| env[v.index()];
        let operands: Values = found.product.inputs.iter().map(of).collect();
        let parameters: Values = graph.eqns()[i].inputs[1..].iter().map(of).collect();
        let bias = found.bias.as_ref().map(of);
        Ok(Some(folded(b, norm, found, &operands, bias, &parameters)))
    });
    folded.map(Some)
}

/// Emits the product with scaled weights, and the shift.
fn folded(
    b: &mut Builder,
    norm: &BatchNormInference,
    found: &NormalizedProduct,
    operands: &[Value],
    bias: Option<Value>,
    parameters: &[Value],
) -> Value {
    let channels = b.ty(parameters[0]).shape.clone();
    let bias = bias.map(|bias| b.reshape(bias, channels));
    let [factor, shift] = norm.factor_and_shift(b, parameters, bias);
    let weights = b.ty(operands[1]).shape.clone();
    let scale = b.broadcast(factor, weights, &[found.weight_axis]);
    let weights = b.mul(operands[1], scale);
    let y = b.emit(found.product.op.clone(), &[operands[0], weights]);
    let shape = b.ty(y).shape.clone();
    let shift = b.broadcast(shift, shape, &[norm.channel_axis()]);
    b.add(y, shift)
}

/// The facts about a graph that a search for products needs.
struct NormSearch<'g> {
    graph: &'g Graph,
    producers: Vec<Option<usize>>,
    constant: Vec<bool>,
    uses: Vec<usize>,
}

impl<'g> NormSearch<'g> {
    fn new(graph: &'g Graph, is_constant: &[bool]) -> NormSearch<'g> {
        let constant = constant_values(graph, is_constant, &|_| true);
        let (producers, uses) = (graph.producers(), graph.use_counts());
        NormSearch { graph, producers, constant, uses }
    }

    fn producer(&self, v: Value) -> Option<&'g Eqn> {
        self.producers[v.index()].map(|i| &self.graph.eqns()[i])
    }

    /// Returns the normalization `e` and the product in front of it, if one can be folded into the
    /// other.
    fn product_before(
        &self,
        e: &'g Eqn,
    ) -> Option<(&'g BatchNormInference, NormalizedProduct<'g>)> {
        let Op::Composite(Composite::BatchNormInference(norm)) = &e.op else { return None };
        let is_constant = |v: &Value| self.constant[v.index()];
        let has_one_dtype = || {
            let dtype = |v: &Value| self.graph.ty(*v).dtype;
            e.inputs.iter().all(|v| dtype(v) == dtype(&e.inputs[0]))
        };
        if !norm.has_one_batch() || !e.inputs[1..].iter().all(is_constant) || !has_one_dtype() {
            return None;
        }
        let (y, bias) = self.without_bias(e.inputs[0], norm.channel_axis());
        let product = self.producer(y).filter(|_| self.uses[y.index()] == 1)?;
        let weight_axis = self.weight_axis(product, norm.channel_axis())?;
        is_constant(&product.inputs[1])
            .then_some((norm, NormalizedProduct { product, weight_axis, bias }))
    }

    /// Returns the axis of the weights that becomes `axis` of a product's result.
    fn weight_axis(&self, product: &Eqn, axis: usize) -> Option<usize> {
        // Narrow floats would be rounded, and overflow, in between.
        let has_dtype = |dtype: DType| {
            dtype == self.graph.ty(product.inputs[1]).dtype
                && matches!(dtype, DType::F32 | DType::F64)
        };
        match &product.op {
            Op::Convolution(op) if axis == 1 && has_dtype(op.dtype) => Some(0),
            Op::DotGeneral(op) if op.lhs_batch.is_empty() && has_dtype(op.dtype) => {
                let ranks = [0, 1].map(|i| self.graph.ty(product.inputs[i]).rank());
                let left = op.lhs_free(ranks[0]).len();
                op.rhs_free(ranks[1]).get(axis.checked_sub(left)?).copied()
            }
            _ => None,
        }
    }

    /// Returns a value without a constant that is added to it, if that is one number for each
    /// channel; and these numbers, a vector.
    fn without_bias(&self, v: Value, axis: usize) -> (Value, Option<Value>) {
        let found = || {
            let e = self.producer(v).filter(|_| self.uses[v.index()] == 1)?;
            let Op::Binary(Binary::Add) = e.op else { return None };
            [[0, 1], [1, 0]].into_iter().find_map(|[y, bias]| {
                let bias = self.vector_along(e.inputs[bias], axis)?;
                Some((e.inputs[y], bias))
            })
        };
        found().map_or((v, None), |(y, bias)| (y, Some(bias)))
    }

    /// Returns the constant numbers, one for each channel, that `v` repeats along all axes but
    /// `axis`.
    fn vector_along(&self, v: Value, axis: usize) -> Option<Value> {
        let e = self.producer(v)?;
        let Op::Broadcast(Broadcast { dims, .. }) = &e.op else { return None };
        let x = e.inputs[0];
        let (shape, channels) = (&self.graph.ty(x).shape, self.graph.ty(v).shape[axis]);
        let own = dims.iter().position(|d| *d == axis)?;
        let is_vector = shape[own] == channels && shape.iter().product::<usize>() == channels;
        (is_vector && self.constant[x.index()]).then_some(x)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::frozen;

    const PARAMETERS: &str = "%2: f32[4], %3: f32[4], %4: f32[4], %5: f32[4]";
    const NORM: &str = "batch_norm_inference[axis=1, batch=0, epsilon=1e-5]";

    #[test]
    fn a_normalization_is_folded_into_a_convolution_with_a_bias() {
        let text = format!(
            "graph(%0: f32[1, 2, 5], %1: f32[4, 2, 3], {PARAMETERS}, %6: f32[1, 4, 1]) {{
  %7: f32[1, 4, 3] = convolution[slides=[{{}}], groups=1, dtype=f32](%0, %1)
  %8: f32[1, 4, 3] = broadcast_in_dim[shape=[1, 4, 3], dims=[0, 1, 2]](%6)
  %9: f32[1, 4, 3] = add(%7, %8)
  %10: f32[1, 4, 3] = {NORM}(%9, %2, %3, %4, %5)
  return %10
}}"
        );
        let is_constant = [false, true, true, true, true, true, true];
        let [_, rest] = frozen(&text, &is_constant, 1e-5).unwrap();
        assert_eq!(
            rest,
            "graph(%0: f32[1, 2, 5], %1: f32[4, 2, 3], %2: f32[4]) {
  %3: f32[1, 4, 3] = convolution[slides=[{}], groups=1, dtype=f32](%0, %1)
  %4: f32[1, 4, 3] = broadcast_in_dim[shape=[1, 4, 3], dims=[1]](%2)
  %5: f32[1, 4, 3] = add(%3, %4)
  return %5
}"
        );
    }

    #[test]
    fn a_normalization_is_folded_into_a_dense_product() {
        let text = format!(
            "graph(%0: f32[3, 2], %1: f32[2, 4], {PARAMETERS}) {{
  %6: f32[3, 4] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
    dtype=f32](%0, %1)
  %7: f32[3, 4] = {NORM}(%6, %2, %3, %4, %5)
  return %7
}}"
        );
        let [_, rest] = frozen(&text, &[false, true, true, true, true, true], 1e-5).unwrap();
        assert!(rest.contains("add(") && !rest.contains("batch_norm"), "{rest}");
    }

    #[test]
    fn a_product_with_another_reader_is_kept() {
        let text = format!(
            "graph(%0: f32[3, 2], %1: f32[2, 4], {PARAMETERS}) {{
  %6: f32[3, 4] = dot_general[lhs_batch=[], rhs_batch=[], lhs_contract=[1], rhs_contract=[0], \
    dtype=f32](%0, %1)
  %7: f32[3, 4] = {NORM}(%6, %2, %3, %4, %5)
  return %6, %7
}}"
        );
        assert!(frozen(&text, &[false, true, true, true, true, true], 0.0).is_none());
    }
}
