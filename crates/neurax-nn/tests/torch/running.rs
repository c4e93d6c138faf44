//! Running statistics of batch normalization over several steps, and evaluation, compared with
//! those of PyTorch and of Keras.

use crate::cases::{Case, cases};
use neurax::TypeSpec;
use neurax::prelude::*;

/// Returns the layer of a case. The momentum of PyTorch is that of the new statistics.
fn layer(name: &str) -> nn::BatchNorm {
    let norm = nn::BatchNorm::new();
    let (torch, keras) = (norm.clone().unbiased_variance(), norm.epsilon(1e-3).axis(-1));
    match name {
        "torch_default" | "torch_space" => torch,
        "torch_momentum" => torch.momentum(0.7).epsilon(1e-3),
        "torch_volume" => torch.momentum(0.5),
        "torch_no_affine" => torch.scale(false).bias(false),
        "keras_default" => keras.momentum(0.99),
        "keras_space" => keras.momentum(0.9),
        "keras_axis" => keras.momentum(0.5).axis(1).epsilon(1e-5),
        "keras_no_scale" => keras.momentum(0.7).scale(false),
        "keras_no_center" => keras.momentum(0.7).bias(false),
        other => panic!("{other}"),
    }
}

fn assert_steps(case: &Case) {
    const TOLERANCE: f64 = 2e-6;
    let first = case.get("x0");
    let x = nn::input("x", vec![Dim::Any; first.rank()]);
    let model = x.layer(layer(&case.name)).model();
    let mut vars = model.init(key(0), &[TypeSpec::from(&first.ty().unwrap())]).unwrap();
    for (name, value) in vars.params.get_mut("batch_norm").into_iter().flatten() {
        *value = case.get(name);
    }
    let train = jit(|(vars, x): (Vars, Tensor)| {
        let out = model.apply(&vars, &x, &Mode::Train(key(0)));
        (out.y().clone(), out.state)
    });
    for i in 0..3 {
        let (y, state) = train((vars.clone(), case.get(&format!("x{i}"))));
        case.assert_near(&format!("y{i}"), &y, TOLERANCE);
        vars.state = state;
        for name in ["mean", "var"] {
            case.assert_near(&format!("{name}{i}"), &vars.state["batch_norm"][name], TOLERANCE);
        }
    }
    let out = model.apply(&vars, case.get("x3"), &Mode::Eval);
    case.assert_near("y3", out.y(), TOLERANCE);
    assert_eq!(
        out.state["batch_norm"]["mean"].to_vec::<f32>().unwrap(),
        vars.state["batch_norm"]["mean"].to_vec::<f32>().unwrap()
    );
}

#[test]
fn running_statistics_and_evaluation() {
    cases("running", 10).iter().for_each(assert_steps);
}
