//! Checks that a layer does what its rule of masks says.

use super::failure::failed;
use super::float_inputs::sample;
use super::invariance::assert_all_near;
use crate::layer::OfInputs;
use crate::node::NodeKind;
use crate::sequence_mask::MaskedCall;
use crate::{Layer, LayerOutput, Mode, Model, Node, input};
use neurax_tensor::{Result, Tensor, TypeSpec, key};
use std::sync::Arc;

/// Checks that the padding of an input `[batch, time, ..]` that carries a mask has no influence on
/// the other steps of outputs that carry the mask, and none at all on other outputs of a layer that
/// takes it.
pub(super) fn padding<L: Layer>(layer: &Arc<L>, t: &TypeSpec) -> Result<()> {
    let ty = t.fixed()?;
    if ty.rank() < 3 || ty.shape[1] < 2 || !ty.dtype.is_float() {
        return Ok(());
    }
    let (x, mask) = (input("x", t.dims.clone()), input("mask", t.dims[..2].to_vec()));
    let ys = checked_outputs(layer, &x.with_mask(&mask));
    if ys.is_empty() {
        return Ok(());
    }
    let steps = ty.shape[1];
    let last = steps as i64 - 1;
    let values = sample(t, key(100))?;
    let steps_mask = Tensor::arange(steps).lt(last).broadcast_to([ty.shape[0], steps]);
    // The mask is an input of the model also if nothing takes it.
    let ends = ys.iter().enumerate().map(|(i, y)| (format!("y{i:02}"), y));
    let model = Model::new(ends.chain([("z".to_string(), &mask)]));
    let types = [&values, &steps_mask].map(|x| x.ty().map(|ty| TypeSpec::from(&ty)));
    let [values_type, mask_type] = types;
    let vars = model.init(key(7), &[values_type?, mask_type?])?;
    let kept = |x: &Tensor| {
        let applied = model.apply(&vars, [x, &steps_mask], &Mode::Eval);
        let outputs = applied.outputs.into_values().zip(&ys);
        let kept = outputs.map(|(y, node)| match node.mask() {
            Some(_) => y.slice(1, ..last),
            None => y,
        });
        kept.collect::<Vec<Tensor>>()
    };
    let (want, got) = (kept(&values), kept(&values.at((.., last)).set(7.0)));
    assert_all_near("padding", &want, &got, 0.0)
        .map_err(|e| failed("mask_rule", format!("padding has an influence: {e}")))
}

/// Returns the outputs on which padding must have no influence.
fn checked_outputs<L: Layer>(layer: &Arc<L>, x: &Node) -> Vec<Node> {
    let layer = Arc::new(OfInputs::<L, 1>(layer.clone()));
    let call = MaskedCall::new(layer, vec![x.clone()]);
    let is_taken = call.inputs.len() > 1;
    let count = L::Output::count();
    let kind = NodeKind::Layer(call.layer.clone());
    let first = Node::first_output(L::NAME, call.inputs.clone(), kind, count, None);
    let outputs = (0..count).map(|i| first.sibling(i).carrying(call.mask_of(i)));
    outputs.filter(|y| is_taken || y.mask().is_some()).collect()
}
