//! Properties of all optimizers.

use super::*;
use neurax_tensor::{grad, jit, vmap};

/// Returns every optimizer with a rate of 0.01.
fn every_optimizer() -> Vec<(&'static str, Optim)> {
    vec![
        ("accumulate", accumulate(1, adam(0.01))),
        ("adabelief", adabelief(0.01)),
        ("adadelta", adadelta(0.01)),
        ("adafactor", adafactor(0.01)),
        ("factored", chain([FactoredRms::new().least(2).transform(), scale(0.01)])),
        ("adagrad", adagrad(0.01)),
        ("adamax", adamax(0.01)),
        ("amsgrad", amsgrad(0.01)),
        ("average_weights", chain([sgd(0.01), average_weights(0.9)])),
        ("lamb", lamb(0.01, 0.01)),
        ("lars", lars(0.01, 0.01)),
        ("lion", lion(0.01, 0.01)),
        ("lbfgs_direction", chain([scale_by_lbfgs(3), scale(0.01)])),
        ("lookahead", chain([adam(0.01), lookahead(2, 0.5)])),
        ("masked", chain([masked("0", Adam::new().transform()), sgd(0.01)])),
        ("muon", muon(0.01)),
        ("muon_rates", Muon::new().adam_for("1").weight_decay(0.1).rates(0.01, 0.02)),
        ("nadam", nadam(0.01)),
        ("eps_root", Adam::new().eps_root(1e-6).rate(0.01)),
        ("noisy_sgd", noisy_sgd(0.01, 3)),
        ("novograd", novograd(0.01, 0.01)),
        ("per_group", per_group_or([("0", adam(0.01))], sgd(0.01))),
        ("radam", radam(0.01)),
        ("rmsprop", rmsprop(0.01)),
        ("centered", RmsProp::new().centered().momentum(0.9).rate(0.01)),
        ("schedule_free", schedule_free_adamw(0.01, 0.01)),
        ("shampoo", shampoo(0.01)),
        ("soap", soap(0.01)),
        ("transforms", chain([centralize(), clip_adaptive(0.1), clip_norm(1.0), sgd(0.01)])),
        ("yogi", yogi(0.01)),
    ]
}

fn params() -> (Tensor, Tensor) {
    (tensor([[1.0, -2.0, 3.0], [0.5, 1.5, -1.0]]), tensor([0.5, -0.25]))
}

/// Returns the parameters after two steps with the gradients `g`.
fn two_steps(opt: &Optim, p: (Tensor, Tensor), g: &(Tensor, Tensor)) -> (Tensor, Tensor) {
    let state = opt.init(&p);
    let (p, state) = opt.step(&p, g, state);
    opt.step(&p, g, state).0
}

fn values(p: &(Tensor, Tensor)) -> Vec<f32> {
    let each = [&p.0, &p.1].map(|t| t.to(DType::F32).to_vec::<f32>().unwrap());
    each.concat()
}

#[test]
fn eager_jitted_and_batched_steps_are_equal() {
    for (name, opt) in every_optimizer() {
        let g = (params().0 * 0.5, params().1 - 1.0);
        let want = values(&two_steps(&opt, params(), &g));
        let (o, h) = (opt.clone(), g.clone());
        let jitted = jit(move |p: (Tensor, Tensor)| two_steps(&o, p, &h)).run(params()).unwrap();
        let batch = (params().0.expand_dims(0), params().1.expand_dims(0));
        let batched = vmap(move |p: (Tensor, Tensor)| two_steps(&opt, p, &g)).run(batch).unwrap();
        for found in [values(&jitted), values(&(batched.0.squeeze(0), batched.1.squeeze(0)))] {
            let close = found.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5);
            assert!(close, "{name}: {found:?}, {want:?}");
        }
        assert_ne!(want, values(&params()), "{name}");
    }
}

#[test]
fn gradients_of_zero_and_huge_ones_leave_parameters_finite() {
    for (name, opt) in every_optimizer() {
        for size in [0.0, 1e-30, 1e20, 3e38] {
            let g = (params().0.full_like(size), params().1.full_like(-size));
            let p = values(&two_steps(&opt, params(), &g));
            assert!(p.iter().all(|p| p.is_finite()), "{name} at {size}: {p:?}");
        }
    }
}

#[test]
fn steps_have_finite_derivatives_at_gradients_of_zero() {
    for (name, opt) in every_optimizer() {
        let total = |g: (Tensor, Tensor)| {
            let (a, b) = two_steps(&opt, params(), &g);
            a.sum(..) + b.sum(..)
        };
        let (a, b) = params();
        for g in [(a.zeros_like(), b.zeros_like()), (&a * 0.1, &b * 0.0)] {
            let d = values(&grad(total)(g));
            assert!(d.iter().all(|d| d.is_finite()), "{name}: {d:?}");
        }
    }
}

#[test]
fn narrow_parameters_move_as_those_in_f32() {
    for (name, opt) in every_optimizer() {
        let g = (params().0 * 0.5, params().1 * 2.0);
        let want = values(&two_steps(&opt, params(), &g));
        for dtype in [DType::F16, DType::BF16] {
            let opt = opt.clone().master_copies();
            let narrow = |(a, b): (Tensor, Tensor)| (a.to(dtype), b.to(dtype));
            let found = two_steps(&opt, narrow(params()), &narrow(g.clone()));
            assert_eq!(found.0.dtype(), dtype, "{name}");
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 0.01 * b.abs() + 2e-3;
            assert!(values(&found).iter().zip(&want).all(close), "{name} {dtype}: {found:?}");
        }
    }
}

#[test]
fn parameters_without_elements_and_scalars_are_updated() {
    for (name, opt) in every_optimizer() {
        let p = (Tensor::zeros([0, 4]), tensor(2.0), Tensor::ones([2, 1, 3]));
        let (q, state) = opt.step(&p, &p, opt.init(&p));
        assert!(q.clone().ok().is_ok() && state.ok().is_ok(), "{name}: {q:?}");
        assert_eq!((q.0.shape(), q.1.shape()), (p.0.shape(), p.1.shape()), "{name}");
    }
}

#[test]
fn invalid_options_are_errors() {
    let p = tensor([[1.0]]);
    for opt in [
        AdaBelief::new().eps(-1.0).transform(),
        AdaBelief::new().eps_root(f64::NAN).transform(),
        AdaDelta::new().decay(1.0).transform(),
        AdaGrad::new().initial(-0.1).transform(),
        Adam::new().eps_root(-1.0).transform(),
        Adamax::new().b1(1.0).transform(),
        AmsGrad::new().b2(-0.1).transform(),
        Adafactor::new().least_rms(-1.0).transform(),
        FactoredRms::new().eps(-1.0).transform(),
        Lamb::new().min_norm(-1.0).transform(),
        Lars::new().coefficient(-1.0).rate(0.1),
        Lars::new().momentum(-0.5).rate(0.1),
        Lars::new().momentum(0.0).nesterov().transform(),
        Lars::new().weight_decay(-0.1).transform(),
        Lion::new().b2(1.0).transform(),
        Muon::new().momentum(1.0).transform(),
        NAdam::new().b1(f64::NAN).transform(),
        nesterov(0.1, 0.0),
        NovoGrad::new().b2(2.0).transform(),
        RAdam::new().b2(1.0).transform(),
        RAdam::new().threshold(4.0).transform(),
        RmsProp::new().decay(1.0).transform(),
        RmsProp::new().centered().eps(-1.0).transform(),
        RmsProp::new().momentum(1.0).transform(),
        RmsProp::new().initial(-1.0).transform(),
        RmsProp::new().nesterov().rate(0.1),
        Shampoo::new().decay(1.0).transform(),
        Soap::new().eps(-1.0).transform(),
        TrustRatio::new().coefficient(-1.0).transform(),
        Yogi::new().eps(f64::NAN).transform(),
        Yogi::new().initial(-1e-6).transform(),
        scale_by_param_rms(-1.0),
        momentum(0.1, f64::NAN),
    ] {
        let (u, _) = opt.update(&p, &p, opt.init(&p));
        assert!(u.error().unwrap().message().starts_with("expected"), "{u:?}");
    }
}
