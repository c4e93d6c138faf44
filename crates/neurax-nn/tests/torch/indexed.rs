//! Layers that read or write at computed positions, and the adaptive softmax, compared with those
//! of PyTorch and torchvision.

use crate::cases::{Case, cases};
use neurax::prelude::*;
use nn::layers::fractional_max_pool;

const TOLERANCE: f64 = 2e-5;

/// Compares a model with a case whose first inputs are those of the model, without `fixed`, the
/// last ones, and whose others are the parameters in alphabetical order of their paths.
fn assert_model(case: &Case, model: &Model, fixed: &[Tensor]) {
    let all = case.inputs();
    let own = model.inputs().count() - fixed.len();
    let inputs = |xs: &[Tensor]| [&xs[..own], fixed].concat();
    let types: Vec<_> = inputs(&all).iter().map(|x| (&x.ty().unwrap()).into()).collect();
    let vars = model.init(key(0), &types).unwrap();
    let names: Vec<(String, String)> = vars
        .params
        .iter()
        .flat_map(|(layer, all)| all.keys().map(|name| (layer.clone(), name.clone())))
        .collect();
    assert_eq!(names.len() + own, all.len(), "{}: {names:?}", case.name);
    let f = |xs: &[Tensor]| {
        let mut params = vars.params.clone();
        for ((layer, name), x) in names.iter().zip(&xs[own..]) {
            params.entry(layer.clone()).or_default().insert(name.clone(), x.clone());
        }
        vec![model.apply_with(&params, &vars.state, inputs(xs), &Mode::Eval).y().clone()]
    };
    case.assert_function(f, TOLERANCE);
}

fn node(name: &str, rank: usize) -> Node {
    nn::input(name, vec![Dim::Any; rank])
}

/// Returns the pool of a case `max_pool<number of space axes>_<option>`.
fn max_pool(name: &str) -> nn::MaxPool {
    match name.split_once('_').and_then(|(_, rest)| rest.split_once('_')) {
        Some((_, "plain")) => nn::MaxPool::new(2),
        Some((_, "strided")) => nn::MaxPool::new(3).strides(2).padding(1),
        Some((_, "ceil")) => nn::MaxPool::new(2).padding(1).ceil_mode(),
        Some((_, "dilated")) => nn::MaxPool::new(2).strides(1).dilation(2),
        other => panic!("{other:?}"),
    }
}

/// Compares the values and positions of a pool.
fn assert_max_pool(case: &Case) {
    let x = &case.inputs()[0];
    let (y, at) = node("x", x.rank()).layer(max_pool(&case.name).with_indices());
    let model = Model::new([("y", y), ("at", at)]);
    let run = |x: &Tensor| model.apply(&Vars::default(), x, &Mode::Eval);
    let (found, want) = (run(x)["at"].clone(), case.get("indices").to(I32));
    assert_eq!(found.array_equal(want).item().unwrap(), 1.0, "{}: {found}", case.name);
    case.assert_function(|xs| vec![run(&xs[0])["y"].clone()], TOLERANCE);
}

fn assert_max_unpool(case: &Case) {
    let (x, at) = (case.inputs()[0].clone(), case.get("indices"));
    let layer = match case.find("space") {
        Some(space) => {
            let space = space.to_vec::<i64>().unwrap();
            let sizes: Vec<usize> = space.iter().map(|&n| n as usize).collect();
            nn::MaxUnpool::new(2).strides(3).space(sizes)
        }
        None => nn::MaxUnpool::new(2),
    };
    let inputs = [node("x", x.rank()), nn::typed_input("at", I64, vec![Dim::Any; x.rank()])];
    assert_model(case, &layer.call(inputs).model(), &[at]);
}

fn assert_fractional(case: &Case) {
    let (sizes, outputs): (&[usize], &[usize]) = match case.name.as_str() {
        "fractional2" => (&[2], &[4, 3]),
        "fractional2_windows" => (&[3, 1], &[5, 6]),
        "fractional2_one" => (&[2, 2], &[1, 2]),
        "fractional3" => (&[2, 1, 2], &[3, 4, 2]),
        other => panic!("{other}"),
    };
    let samples = case.get("samples");
    let pool = |x: &Tensor| fractional_max_pool(x, sizes, outputs, &samples);
    case.assert_function(|xs| vec![pool(&xs[0])], TOLERANCE);
}

fn assert_deform_conv(case: &Case) {
    let (x, offsets, mask) = (node("x", 4), node("offsets", 4), node("mask", 4));
    let both = [x.clone(), offsets.clone()];
    let y = match case.name.as_str() {
        "deform_conv" => nn::DeformConv::new(4, 3).call(both),
        "deform_conv_options" => {
            let conv = nn::DeformConv::new(2, [2, 3]).strides([2, 1]).padding([1, 2]);
            conv.dilation([2, 1]).call(both)
        }
        "deform_conv_groups" => nn::DeformConv::new(6, 2).padding(1).groups(2).call(both),
        "deform_conv_parts" => nn::DeformConv::new(2, [3, 1]).call(both),
        "deform_conv_masked" => {
            nn::DeformConv::new(4, 3).padding(1).strides(2).call([x, offsets, mask])
        }
        other => panic!("{other}"),
    };
    assert_model(case, &y.model(), &[]);
}

fn assert_adaptive_softmax(case: &Case) {
    let layer = match case.name.trim_end_matches("_targets") {
        "adaptive_softmax" => nn::AdaptiveLogSoftmax::new(10, [4, 7]).div_value(2.0),
        "adaptive_softmax_bias" => {
            nn::AdaptiveLogSoftmax::new(12, [3, 5, 6]).div_value(2.5).head_bias(true)
        }
        "adaptive_softmax_one" => nn::AdaptiveLogSoftmax::new(6, [2]),
        other => panic!("{other}"),
    };
    let x = node("x", 2);
    match case.find("targets") {
        Some(targets) => {
            let model = layer.call([x, nn::typed_input("targets", I64, dims![_])]).model();
            assert_model(case, &model, &[targets]);
        }
        None => assert_model(case, &x.layer(layer).model(), &[]),
    }
}

#[test]
fn positions_values_and_gradients() {
    for case in cases("indexed", 33) {
        match case.name.as_str() {
            name if name.starts_with("max_pool") => assert_max_pool(&case),
            name if name.starts_with("max_unpool") => assert_max_unpool(&case),
            name if name.starts_with("fractional") => assert_fractional(&case),
            name if name.starts_with("deform_conv") => assert_deform_conv(&case),
            _ => assert_adaptive_softmax(&case),
        }
    }
}
