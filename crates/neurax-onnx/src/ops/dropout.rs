//! `Dropout`: the identity in inference, random zeros in training.
//!
//! A node in training mode draws a mask at each call of a session. In a network it follows the mode
//! of the network, as the layer `dropout` does: it drops in training and is the identity in
//! evaluation.

use super::normalization::wide;
use crate::call::{NodeCall, RuleFailure, RuleOutcome, fail};
use crate::operator::{Operator, op};
use crate::value::OnnxValue;
use neurax_tensor::{DType, Key, Tensor, key};

pub(crate) const OPERATORS: &[Operator] =
    &[op("Dropout", &[1, 6, 7, 10, 12, 13, 22], 1..=3, dropout)
        .attributes(&["consumed_inputs", "is_test", "ratio", "seed"])
        .random_in_training()];

/// Sets a fraction `ratio` of the elements to 0 and divides the others by `1 - ratio`; also returns
/// where elements are kept.
///
/// The ratio and the mode are inputs since version 12. Before version 7 the mode is an attribute;
/// the versions in between are for inference.
fn dropout(c: &NodeCall) -> RuleOutcome {
    let x = c.x(0)?;
    if c.version() < 12 {
        let ratio = c.float_or("ratio", 0.5)?;
        let is_training = c.version() < 7 && !c.flag("is_test", false)? && !c.is_evaluation();
        let (y, kept) = match is_training {
            true => dropped(c, &x, &Tensor::scalar(DType::F32, checked(ratio)?))?,
            false => identity(&x),
        };
        // The mask has the dtype of the elements before version 10.
        return result(y, if c.version() < 10 { kept.to(x.dtype()) } else { kept });
    }
    let ratio = match c.maybe(1)? {
        Some(ratio) if ratio.is_traced() => ratio.reshape(()).to(DType::F32),
        Some(ratio) => Tensor::scalar(DType::F32, checked(ratio.item()? as f32)?),
        None => Tensor::scalar(DType::F32, 0.5),
    };
    let (y, kept) = match c.maybe(2)? {
        None => identity(&x),
        Some(mode) if mode.is_traced() => {
            let ((y, kept), mode) = (dropped(c, &x, &ratio)?, mode.reshape(()));
            (mode.select(y, &x), mode.select(kept, true))
        }
        Some(mode) if mode.item()? != 0.0 && !c.is_evaluation() => dropped(c, &x, &ratio)?,
        Some(_) => identity(&x),
    };
    result(y, kept)
}

fn checked(ratio: f32) -> Result<f32, RuleFailure> {
    match (0.0..1.0).contains(&ratio) {
        true => Ok(ratio),
        false => fail(format!("expected a ratio from 0 to below 1, got {ratio}")),
    }
}

fn result(y: Tensor, kept: Tensor) -> RuleOutcome {
    Ok([y, kept].map(OnnxValue::Tensor).to_vec())
}

fn identity(x: &Tensor) -> (Tensor, Tensor) {
    (x.clone(), Tensor::ones_of(DType::Bool, x.shape()))
}

/// Returns the key of the seed, or the next key of the call.
fn key_of(c: &NodeCall) -> Result<Key, RuleFailure> {
    c.int("seed")?.map_or_else(|| c.next_key(), |seed| Ok(key(seed)))
}

/// Drops elements at random. Returns the result and where elements are kept.
fn dropped(c: &NodeCall, x: &Tensor, ratio: &Tensor) -> Result<(Tensor, Tensor), RuleFailure> {
    let kept = key_of(c)?.bernoulli(1.0 - ratio, x.shape());
    let y = kept.select(x.to(wide(x)) / (1.0 - ratio), 0.0);
    Ok((y.to(x.dtype()), kept))
}

#[cfg(test)]
mod tests {
    use crate::proto::{NodeProto, OperatorSetId};
    use crate::testing::{edited, function, graph, int, model, node, raw, value};
    use crate::{Importer, OnnxValue, Session, import_bytes};
    use neurax::prelude::*;
    use std::collections::HashMap;

    /// Returns the file of one node whose mode is an initializer.
    fn file(dropout: NodeProto, is_training: bool) -> Vec<u8> {
        let mode = raw("mode", 9, &[], &[u8::from(is_training)]);
        model(graph(&[("x", &[-1])], &["y"], vec![mode], vec![dropout]))
    }

    fn dropout() -> NodeProto {
        node("Dropout", "x _ mode", "y")
    }

    /// Returns the results of two calls for 1,000 ones.
    fn two_calls(session: &Session) -> [Vec<f32>; 2] {
        [(); 2].map(|()| {
            let inputs = HashMap::from([("x".into(), OnnxValue::Tensor(Tensor::ones([1000])))]);
            match session.run(inputs).unwrap().remove(0) {
                OnnxValue::Tensor(y) => y.to_vec().unwrap(),
                other => panic!("{}", other.kind()),
            }
        })
    }

    #[test]
    fn each_call_of_a_session_draws_a_mask() {
        let open = |node, is_training| Importer::new().open_bytes(file(node, is_training)).unwrap();
        let [a, b] = two_calls(&open(dropout(), true));
        assert_ne!(a, b);
        assert!(a.iter().all(|&y| y == 0.0 || y == 2.0) && a.contains(&0.0) && a.contains(&2.0));
        let [a, b] = two_calls(&open(dropout().with(int("seed", 7)), true));
        assert_eq!(a, b);
        assert!(a.contains(&0.0));
        let inference = open(dropout(), false);
        assert_eq!(two_calls(&inference)[0], [1.0; 1000]);
        assert!(!inference.plan().contains("host"), "{}", inference.plan());
    }

    #[test]
    fn a_constant_mode_inside_of_a_function_is_known() {
        let plan = |is_training: bool| {
            let mode = raw("", 9, &[], &[u8::from(is_training)]);
            let constant = node("Constant", "", "mode").with(value("value", mode));
            let body = vec![constant, dropout()];
            let call = NodeProto { domain: "local".into(), ..node("Block", "x", "y") };
            let file = edited(model(graph(&[("x", &[-1])], &["y"], vec![], vec![call])), |m| {
                m.functions.push(function("Block", 21, "x", "y", body));
                m.opset_import.push(OperatorSetId { domain: "local".into(), version: 1 });
            });
            let session = Importer::new().open_bytes(file).unwrap();
            two_calls(&session);
            session.plan()
        };
        assert!(plan(true).contains("host") && !plan(false).contains("host"));
    }

    #[test]
    fn a_network_drops_in_training_and_not_in_evaluation() {
        let net = import_bytes(file(dropout(), true)).unwrap();
        let x = Tensor::ones([1000]);
        let train = |seed| {
            let mode = Mode::Train(key(seed));
            net.model.apply(&net.vars, &x, &mode).y().to_vec::<f32>().unwrap()
        };
        assert_eq!(train(0), train(0));
        assert_ne!(train(0), train(1));
        assert!(train(0).contains(&0.0) && train(0).contains(&2.0));
        let predictor = net.predictor(types![f32[1000]]).unwrap();
        assert_eq!(predictor.run(&x).unwrap().to_vec::<f32>().unwrap(), [1.0; 1000]);
        let seeded = import_bytes(file(dropout().with(int("seed", 7)), true)).unwrap();
        let y = seeded.model.apply(&seeded.vars, &x, &Mode::Train(key(0))).y().clone();
        assert!(y.to_vec::<f32>().unwrap().contains(&0.0));
    }
}
