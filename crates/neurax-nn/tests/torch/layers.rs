//! Layers, compared with those of PyTorch, and of JAX where it lacks them.

use crate::cases::{Case, cases};
use neurax::prelude::*;
use neurax::{PadMode, TypeSpec};
use nn::Interpolation;

/// Compares a model with a case whose inputs are `x` and the parameters in alphabetical order.
fn assert_model(case: &Case, layer: impl Fn(&Node) -> Node) {
    let inputs = case.inputs();
    let x = nn::input("x", vec![Dim::Any; inputs[0].rank()]);
    let model = layer(&x).model();
    let mut vars = model.init(key(0), &[TypeSpec::from(&inputs[0].ty().unwrap())]).unwrap();
    for (layer, all) in &mut vars.state {
        for (name, value) in all {
            *value = case.find(&format!("s.{layer}.{name}")).unwrap_or_else(|| value.clone());
        }
    }
    let names: Vec<(String, String)> = vars
        .params
        .iter()
        .flat_map(|(layer, all)| all.keys().map(|name| (layer.clone(), name.clone())))
        .collect();
    assert_eq!(names.len() + 1, inputs.len(), "{}: {names:?}", case.name);
    let f = |xs: &[Tensor]| {
        let mut params = vars.params.clone();
        for ((layer, name), x) in names.iter().zip(&xs[1..]) {
            params.entry(layer.clone()).or_default().insert(name.clone(), x.clone());
        }
        let mode = if case.name.ends_with("_eval") { Mode::Eval } else { Mode::Train(key(0)) };
        vec![model.apply_with(&params, &vars.state, &xs[0], &mode).y().clone()]
    };
    case.assert_function(f, 2e-5);
}

fn mode_of(name: &str) -> PadMode {
    match name {
        "reflect" => PadMode::Reflect,
        "edge" => PadMode::Edge,
        "wrap" => PadMode::Wrap,
        _ => panic!("{name}"),
    }
}

fn conv(option: &str, taps: usize) -> nn::Conv {
    let conv = nn::Conv::new(4, taps);
    match option {
        "plain" => conv,
        "no_bias" => conv.bias(false),
        "strided" => conv.strides(2).padding(1),
        "dilated" => conv.padding(2).dilation(2),
        "same" => conv.padding(Padding::Same),
        "groups" => conv.groups(2),
        "last" => conv.strides(2).channels_last(),
        mode => conv.padding(1).padding_mode(mode_of(mode)),
    }
}

fn transpose(option: &str, taps: usize) -> nn::ConvTranspose {
    let conv = nn::ConvTranspose::new(4, taps);
    match option {
        "plain" => conv,
        "strided" => conv.strides(2).padding(1).output_padding(1),
        "dilated" => conv.strides(2).dilation(2),
        "groups" => conv.groups(2),
        other => panic!("{other}"),
    }
}

fn max_pool(option: &str) -> nn::MaxPool {
    let strided = nn::MaxPool::new(3).strides(2).padding(1);
    match option {
        "plain" => nn::MaxPool::new(2),
        "strided" => strided,
        "ceil" => strided.ceil_mode(),
        "dilated" => nn::MaxPool::new(2).strides(1).dilation(2),
        other => panic!("{other}"),
    }
}

fn avg_pool(option: &str) -> nn::AvgPool {
    let strided = nn::AvgPool::new(3).strides(2).padding(1);
    match option {
        "plain" => nn::AvgPool::new(2),
        "strided" => strided,
        "counted" => strided.count_padding(),
        "ceil" => strided.ceil_mode(),
        "ceil_counted" => strided.ceil_mode().count_padding(),
        other => panic!("{other}"),
    }
}

/// Returns the layer of a case `<family><number of space axes>_<option>`.
fn windows(x: &Node, name: &str) -> Node {
    let digit = name.find(|c: char| c.is_ascii_digit()).unwrap();
    let (family, rest) = name.split_at(digit);
    let (space, option) = rest.split_once('_').unwrap_or((rest, ""));
    let space: usize = space.parse().unwrap();
    let taps = if space == 3 { 2 } else { 3 };
    let sizes = &[5, 9, 4][..space];
    match family {
        "conv" => x.layer(conv(option, taps)),
        "transpose" => x.layer(transpose(option, taps)),
        "depthwise" => x.layer(nn::DepthwiseConv::new(2, taps).padding(1)),
        "separable" => x.layer(nn::SeparableConv::new(2, taps).multiplier(2)),
        "max_pool" => x.layer(max_pool(option)),
        "avg_pool" => x.layer(avg_pool(option)),
        "lp_pool" if option == "2" => x.lp_pool(2.0, 2),
        "lp_pool" => x.layer(nn::LpPool::new(4.0, 3).strides(2)),
        "adaptive_avg" => x.adaptive_avg_pool(3),
        "adaptive_max" => x.layer(nn::AdaptiveMaxPool::new(3)),
        "resize" if option == "nearest" => x.resize(sizes),
        "resize" => x.layer(nn::Resize::new(sizes).method(Interpolation::Linear).antialias(false)),
        "up_sampling" => x.up_sampling(2),
        "batch_norm" => x.batch_norm(),
        other => panic!("{other}"),
    }
}

/// Returns the layer of a case with another name.
fn layer(x: &Node, name: &str) -> Node {
    let resize = |method| nn::Resize::new([4, 10]).method(method);
    let response = |size| nn::LocalResponseNorm::new(size);
    match name {
        "resize2_antialias" => x.layer(resize(Interpolation::Linear)),
        "resize2_cubic" => x.layer(resize(Interpolation::Cubic)),
        "resize2_cubic_plain" => x.layer(resize(Interpolation::Cubic).antialias(false)),
        "resize2_lanczos3" => x.layer(resize(Interpolation::Lanczos3)),
        "resize2_lanczos3_plain" => x.layer(resize(Interpolation::Lanczos3).antialias(false)),
        "resize2_lanczos5" => x.layer(resize(Interpolation::Lanczos5)),
        "resize2_lanczos5_plain" => x.layer(resize(Interpolation::Lanczos5).antialias(false)),
        "layer_norm" => x.layer_norm(),
        "layer_norm_plain" => x.layer(nn::LayerNorm::new().scale(false).bias(false)),
        "layer_norm_axes" => x.layer(nn::LayerNorm::new().axes([1, 2]).epsilon(1e-3)),
        "rms_norm" => x.rms_norm(),
        "rms_norm_shift" => x.layer(nn::RmsNorm::new().shift(1.0)),
        "unit_norm" => x.unit_norm(),
        "group_norm" => x.group_norm(2),
        "instance_norm" => x.instance_norm(),
        "local_response_norm_3" => x.layer(response(3).alpha(0.5).k(2.0)),
        "local_response_norm_2" => x.layer(response(2).alpha(1.0).beta(0.5)),
        "unfold1" => x.layer(nn::Unfold::new(2)),
        "unfold2_options" => x.layer(windows_of_two_axes()),
        "fold1" => x.layer(nn::Fold::new([5], nn::Unfold::new(2))),
        "fold2_options" => x.layer(nn::Fold::new([4, 3], windows_of_two_axes())),
        "activity_regularization" => x.layer(nn::ActivityRegularization::new().l1(0.5).l2(0.25)).1,
        "embedding" => x.embedding(5, 3),
        "embedding_padding" => x.layer(nn::Embedding::new(5, 3).padding(2)),
        "embedding_max_norm" => x.layer(nn::Embedding::new(5, 3).max_norm(1.0)),
        "embedding_bag_mean" => x.layer(nn::EmbeddingBag::new(5, 3).padding(0)),
        "embedding_bag_sum" => x.layer(nn::EmbeddingBag::new(5, 3).mode(nn::BagMode::Sum)),
        "embedding_bag_max" => x.layer(nn::EmbeddingBag::new(5, 3).mode(nn::BagMode::Max)),
        "pixel_shuffle" => x.pixel_shuffle(2),
        "pixel_unshuffle" => x.pixel_unshuffle(2),
        "pad_value" => x.layer(nn::Pad::new([(0, 1), (1, 2)]).value(0.5)),
        "pad_reflect" | "pad_edge" | "pad_wrap" => {
            x.layer(nn::Pad::new(1).mode(mode_of(&name["pad_".len()..])))
        }
        "embedding_bag_mean_limited" => x.layer(nn::EmbeddingBag::new(5, 3).max_norm(0.75)),
        "embedding_bag_sum_limited" => {
            x.layer(nn::EmbeddingBag::new(5, 3).mode(nn::BagMode::Sum).max_norm(0.75))
        }
        "einsum_dense" => {
            let sizes = [('h', 2), ('k', 3)];
            x.layer(nn::EinsumDense::new("...f,fhk->...hk", sizes).bias("hk"))
        }
        _ if name.starts_with("torch_") => resized(x, name),
        _ if name.starts_with("weight_norm") => weight_norm(x, name),
        _ if name.starts_with("spectral_norm") => spectral_norm(x, name),
        _ => activation(x, name),
    }
}

/// Returns the layer of a case with the options of PyTorch's `interpolate`.
fn resized(x: &Node, name: &str) -> Node {
    let size = if name.ends_with("_up") { [8, 3] } else { [5, 4] };
    let resize = |method| nn::Resize::new(size).method(method).antialias(false);
    let cubic = || resize(Interpolation::Cubic).cubic_coefficient(-0.75).repeat_edge();
    let up = nn::UpSampling::new(2).method(Interpolation::Cubic);
    match name.trim_end_matches("_up").trim_end_matches("_down") {
        "torch_cubic" => x.layer(cubic()),
        "torch_cubic_corners" => x.layer(cubic().align_corners()),
        "torch_cubic_antialias" => x.layer(nn::Resize::new(size).method(Interpolation::Cubic)),
        "torch_linear" => x.layer(resize(Interpolation::Linear)),
        "torch_linear_corners" => x.layer(resize(Interpolation::Linear).align_corners()),
        "torch_floor" => x.layer(resize(Interpolation::NearestFloor)),
        "torch_cubic_up_sampling" => x.layer(up.cubic_coefficient(-0.75).repeat_edge()),
        "torch_corners_up_sampling" => {
            x.layer(nn::UpSampling::new(3).method(Interpolation::Linear).align_corners())
        }
        other => panic!("{other}"),
    }
}

/// Returns the layer of a case whose kernel is normalized.
fn weight_norm(x: &Node, name: &str) -> Node {
    let transpose = |taps| nn::ConvTranspose::new(4, taps);
    match name {
        "weight_norm" => x.layer(nn::WeightNorm::new(Dense::new(3))),
        "weight_norm_conv" => x.layer(nn::WeightNorm::new(nn::Conv::new(4, 3))),
        "weight_norm_last" => x.layer(nn::WeightNorm::new(nn::Conv::new(4, 2).channels_last())),
        "weight_norm_transpose" => x.layer(nn::WeightNorm::new(transpose(3))),
        "weight_norm_transpose_inputs" => x.layer(nn::WeightNorm::new(transpose(3)).axis(0)),
        "weight_norm_transpose_last" => x.layer(nn::WeightNorm::new(transpose(2).channels_last())),
        other => panic!("{other}"),
    }
}

/// Returns the layer of a case whose kernel is divided by its largest singular value.
fn spectral_norm(x: &Node, name: &str) -> Node {
    let transpose = |taps| nn::ConvTranspose::new(4, taps);
    match name {
        "spectral_norm_dense" | "spectral_norm_dense_eval" => {
            x.layer(nn::SpectralNorm::new(Dense::new(3)))
        }
        "spectral_norm_dense_3" => x.layer(nn::SpectralNorm::new(Dense::new(3)).iterations(3)),
        "spectral_norm_conv" => x.layer(nn::SpectralNorm::new(nn::Conv::new(4, 3)).iterations(2)),
        "spectral_norm_last" => x.layer(nn::SpectralNorm::new(nn::Conv::new(4, 2).channels_last())),
        "spectral_norm_transpose1" => x.layer(nn::SpectralNorm::new(transpose(3))),
        "spectral_norm_transpose2" => x.layer(nn::SpectralNorm::new(transpose(2))),
        "spectral_norm_transpose_last" => {
            x.layer(nn::SpectralNorm::new(transpose(2).channels_last()))
        }
        other => panic!("{other}"),
    }
}

fn windows_of_two_axes() -> nn::Unfold {
    nn::Unfold::new([2, 3]).strides([2, 1]).padding([0, 2]).dilation([1, 2])
}

/// Returns the activation of a case.
fn activation(x: &Node, name: &str) -> Node {
    match name {
        "leaky_relu_0.3" => x.layer(nn::LeakyRelu::new(0.3)),
        "elu_0.5" => x.layer(nn::Elu::new(0.5)),
        "celu_2" => x.layer(nn::Celu::new(2.0)),
        "gelu_tanh" => x.layer(nn::Gelu::new(true)),
        "softmax_0" => x.layer(nn::Softmax::new(0)),
        "log_softmax_0" => x.layer(nn::LogSoftmax::new(0)),
        "softmin_1" => x.layer(nn::Softmin::new(1)),
        "log_sum_exp_1" => x.layer(nn::LogSumExp::new(1)),
        "hard_shrink" => x.layer(nn::HardShrink::new(0.4)),
        "soft_shrink" => x.layer(nn::SoftShrink::new(0.4)),
        "threshold" => x.layer(nn::Threshold::new(0.5, -2.0)),
        "softplus_2" => x.layer(nn::Softplus::new(2.0)),
        "hard_tanh_2" => x.layer(nn::HardTanh::new(-2.0, 1.5)),
        "glu" => x.glu(),
        "geglu" => x.geglu(),
        "swiglu" => x.swiglu(),
        "reglu" => x.reglu(),
        "prelu" => x.layer(nn::PRelu::new()),
        "prelu_channels" => x.layer(nn::PRelu::new().axes([1])),
        other => panic!("{other}"),
    }
}

#[test]
fn windows_and_statistics() {
    for case in cases("windows", 99) {
        assert_model(&case, |x| windows(x, &case.name));
    }
}

#[test]
fn values_and_gradients() {
    for case in cases("layers", 87) {
        let two = |f: fn(&Node, &Node) -> Node| {
            let (a, b) = (nn::input("a", dims![_, _]), nn::input("b", dims![_, _]));
            let model = f(&a, &b).model();
            let apply = |xs: &[Tensor]| {
                vec![model.apply(&Vars::default(), xs.to_vec(), &Mode::Eval).y().clone()]
            };
            case.assert_function(apply, 2e-5);
        };
        match case.name.as_str() {
            "cosine_similarity" => two(|a, b| nn::CosineSimilarity::new().call([a, b])),
            "pairwise_distance_2" => two(|a, b| nn::PairwiseDistance::new(2.0).call([a, b])),
            "pairwise_distance_1" => two(|a, b| nn::PairwiseDistance::new(1.0).call([a, b])),
            "embedding_bag_weighted" => assert_weighted_bag(&case),
            name => assert_model(&case, |x| layer(x, name)),
        }
    }
}

/// Compares a sum of embeddings whose weights are a second input.
fn assert_weighted_bag(case: &Case) {
    let (indices, weights) = (nn::typed_input("i", I64, dims![_, _]), nn::input("w", dims![_, _]));
    let bag = nn::EmbeddingBag::new(5, 3).mode(nn::BagMode::Sum).padding(0);
    let model = bag.call([indices, weights]).model();
    let f = |xs: &[Tensor]| {
        let mut params = nn::Params::new();
        params.entry("embedding_bag".into()).or_default().insert("table".into(), xs[1].clone());
        let inputs = [xs[0].clone(), case.get("weights")];
        vec![model.apply_with(&params, &nn::Params::new(), inputs, &Mode::Eval).y().clone()]
    };
    case.assert_function(f, 2e-5);
}
