//! The moments of initial kernels of layers in every layout, compared with those of Keras and of
//! JAX.

use crate::cases::{Case, cases};
use neurax::TypeSpec;
use neurax::prelude::*;
use nn::init::{Distribution, FanMode, Init};

/// Returns the initializer of a case.
fn init_of(name: &str) -> Init {
    match name {
        "uniform" => init::uniform(-0.05, 0.1),
        "normal" => init::normal(0.3),
        "truncated_normal" => init::truncated_normal(0.5),
        "constant" => init::constant(0.75),
        "zeros" => init::zeros(),
        "ones" => init::ones(),
        "identity" => init::identity(2.0),
        "orthogonal" => init::orthogonal(1.5),
        "glorot_uniform" => init::glorot_uniform(),
        "glorot_normal" => init::glorot_normal(),
        "he_uniform" => init::he_uniform(),
        "he_normal" => init::he_normal(),
        "lecun_uniform" => init::lecun_uniform(),
        "lecun_normal" => init::lecun_normal(),
        other => scaling(other.strip_prefix("variance_scaling_").unwrap()),
    }
}

fn scaling(options: &str) -> Init {
    let modes = [("in", FanMode::FanIn), ("out", FanMode::FanOut), ("avg", FanMode::FanAvg)];
    let mode = |(name, mode)| Some((options.strip_prefix(&format!("fan_{name}_"))?, mode));
    let (distribution, mode) = modes.into_iter().find_map(mode).unwrap();
    let distribution = match distribution {
        "uniform" => Distribution::Uniform,
        "normal" => Distribution::Normal,
        "truncated_normal" => Distribution::TruncatedNormal,
        other => panic!("{other}"),
    };
    init::variance_scaling(1.5, mode, distribution)
}

/// Returns the initial value of the parameter `name` of a layer with one input.
fn kernel<L: nn::Layer>(layer: L, name: &str, shape: &[usize]) -> Tensor {
    let example = TypeSpec::from(&Tensor::zeros(shape).ty().unwrap());
    let x = nn::input("x", vec![Dim::Any; shape.len()]);
    let node = nn::layer("layer", [x], move |cx, [x]| {
        // The outputs, one or several, do not matter.
        let _ = layer.apply(cx, [x.clone()]);
        x
    });
    let vars = node.init(key(5), &[example]).unwrap();
    vars.params.values().find_map(|layer| layer.get(name)).unwrap().clone()
}

/// Returns the initial kernels of the layers of a kind: one for each layout.
fn kernels(kind: &str, init: Init) -> Vec<Tensor> {
    let i = || init.clone();
    let conv = |filters, taps: usize| nn::Conv::new(filters, taps).kernel(i());
    let image = |channels| [[1, channels, 3, 3], [1, 3, 3, channels]];
    match kind {
        "dense" => vec![
            kernel(Dense::new(120).kernel(i()), "kernel", &[1, 80]),
            kernel(nn::TimeDistributed::new(Dense::new(120).kernel(i())), "kernel", &[1, 2, 80]),
        ],
        "conv1" => vec![
            kernel(conv(80, 5), "kernel", &[1, 64, 5]),
            kernel(conv(80, 5).channels_last(), "kernel", &[1, 5, 64]),
        ],
        "conv2" => vec![
            kernel(conv(64, 3), "kernel", &image(48)[0]),
            kernel(conv(64, 3).channels_last(), "kernel", &image(48)[1]),
        ],
        "conv3" => {
            let conv = nn::Conv::new(48, [2, 3, 2]).kernel(i());
            vec![
                kernel(conv.clone(), "kernel", &[1, 48, 3, 3, 3]),
                kernel(conv.channels_last(), "kernel", &[1, 3, 3, 3, 48]),
            ]
        }
        "conv2_groups" => vec![
            kernel(conv(192, 3).groups(4), "kernel", &image(64)[0]),
            kernel(conv(192, 3).groups(4).channels_last(), "kernel", &image(64)[1]),
        ],
        "transpose2" => {
            let conv = nn::ConvTranspose::new(64, 3).kernel(i());
            vec![
                kernel(conv.clone(), "kernel", &image(48)[0]),
                kernel(conv.channels_last(), "kernel", &image(48)[1]),
            ]
        }
        "depthwise2" => {
            let conv = nn::DepthwiseConv::new(4, 3).kernel(i());
            vec![
                kernel(conv.clone(), "kernel", &image(512)[0]),
                kernel(conv.channels_last(), "kernel", &image(512)[1]),
            ]
        }
        "pointwise2" => {
            let conv = nn::SeparableConv::new(128, 3).multiplier(2).kernel(i());
            vec![
                kernel(conv.clone(), "pointwise_kernel", &image(80)[0]),
                kernel(conv.channels_last(), "pointwise_kernel", &image(80)[1]),
            ]
        }
        other => of_features(other, i()),
    }
}

/// Returns the initial kernels of layers of features.
fn of_features(kind: &str, init: Init) -> Vec<Tensor> {
    match kind {
        "lstm" => vec![kernel(nn::Lstm::new(80).kernel(init), "kernel", &[1, 2, 60])],
        "attention" => {
            let attention = nn::MultiHeadAttention::new(8, 16).kernel(init);
            vec![kernel(attention, "query_kernel", &[1, 2, 80])]
        }
        "feed_forward" => {
            let layer = nn::FeedForward::new(128).kernel(init);
            vec![kernel(layer, "hidden_kernel", &[1, 80])]
        }
        "einsum" => {
            let einsum = |formula| nn::EinsumDense::new(formula, [('h', 8), ('k', 16)]);
            let forms = ["bf,fhk->bhk", "bf,hfk->bhk", "bf,khf->bhk"];
            let of = |form| kernel(einsum(form).kernel(init.clone()), "kernel", &[1, 80]);
            // Two heads, whose kernels are separate.
            let separate = kernel(
                nn::EinsumDense::new("bhf,hfo->bho", [('o', 128)]).kernel(init.clone()),
                "kernel",
                &[1, 2, 80],
            );
            forms.map(of).into_iter().chain([separate]).collect()
        }
        "bilinear" => {
            let (a, b) = (nn::input("a", dims![_, 30]), nn::input("b", dims![_, 40]));
            let y = nn::Bilinear::new(20).kernel(init).call([&a, &b]);
            let vars = y.init(key(5), &types![f32[_, 30], f32[_, 40]]).unwrap();
            vec![vars.params["bilinear"]["kernel"].clone()]
        }
        "experts" => {
            let layer = nn::MixtureOfExperts::new(6, 64).kernel(init);
            vec![kernel(layer, "hidden_kernel", &[1, 2, 80])]
        }
        other => panic!("{other}"),
    }
}

/// Compares the mean and the variance, up to the sampling error of the number of elements, and the
/// largest magnitude, if the distribution has a bound.
fn assert_moments(case: &Case) {
    let (layer, name) = case.name.split_once('.').unwrap();
    let kind = layer.split_once('_').unwrap().1;
    let &[mean, variance, largest] = &case.get("moments").to_vec::<f64>().unwrap()[..] else {
        panic!("{}", case.name)
    };
    // Those of Glorot, He and LeCun are cut off, and so are uniform distributions.
    let has_bound = !["normal", "orthogonal"].contains(&name) && !name.ends_with("_normal")
        || name.contains("truncated")
        || ["glorot", "he", "lecun"].iter().any(|author| name.starts_with(author));
    for (i, kernel) in kernels(kind, init_of(name)).into_iter().enumerate() {
        let kernel = kernel.to(F64);
        let found = [kernel.mean(..), kernel.var(.., 0), kernel.abs().max(..)];
        let [m, v, l] = found.map(|x| x.item().unwrap());
        let n = kernel.size() as f64;
        let why = format!("{}, layout {i}, {:?}: {m} {v} {l}", case.name, kernel.shape());
        assert!((m - mean).abs() <= 6.0 * (variance / n).sqrt(), "{why}, expected mean {mean}");
        assert!((v - variance).abs() <= 6.0 * variance * (2.0 / n).sqrt(), "{why}, {variance}");
        assert!(!has_bound || (0.97 * largest..=1.001 * largest).contains(&l), "{why}, {largest}");
    }
}

#[test]
fn moments_in_every_layout() {
    cases("initializers", 153).iter().for_each(assert_moments);
}
