//! Recurrent layers, compared with those of PyTorch and Keras.

use crate::cases::{Case, cases};
use neurax::prelude::*;
use nn::{
    Activation, Bidirectional, Cell, ConvGru, ConvLstm, Gru, Lstm, Merge, Recurrent, Rnn, SimpleRnn,
};

/// The number of all cases.
const CASES: usize = 85;

#[test]
fn dense_cells() {
    let mut count = 0;
    for case in cases("recurrent", CASES) {
        let name = case.name.clone();
        let (kind, option) = split(&name, &["lstm", "gru", "simple_rnn"]);
        let model = match kind {
            "lstm" => lstm(option).and_then(|layer| dense(layer, option, &case)),
            "gru" => gru(option).and_then(|layer| dense(layer, option, &case)),
            "simple_rnn" => simple_rnn(option).and_then(|layer| dense(layer, option, &case)),
            _ => continue,
        };
        assert_layer(&case, &model.unwrap_or_else(|| panic!("no layer for {name}")));
        count += 1;
    }
    assert_eq!(count, 61);
}

#[test]
fn other_layers() {
    let mut count = 0;
    for case in cases("recurrent", CASES) {
        let name = case.name.clone();
        if split(&name, &["lstm", "gru", "simple_rnn"]).0.is_empty() {
            assert_layer(&case, &other(&name, &case));
            count += 1;
        }
    }
    assert_eq!(count, 24);
}

/// Splits a name into that of a kind and the rest.
fn split<'n>(name: &'n str, kinds: &[&'n str]) -> (&'n str, &'n str) {
    let kind = kinds.iter().copied().find(|k| name.starts_with(k)).unwrap_or("");
    (kind, name[kind.len()..].trim_start_matches('_'))
}

fn lstm(option: &str) -> Option<Lstm> {
    let layer = Lstm::new(2);
    Some(match option {
        "activations" => {
            layer.activation(Activation::relu()).recurrent_activation(Activation::hard_sigmoid())
        }
        "no_bias" => layer.bias(false),
        "zero_output" | "zero_output_last" => layer.masked().zero_output_for_mask(true),
        _ => layer,
    })
}

fn gru(option: &str) -> Option<Gru> {
    let layer = Gru::new(2);
    let layer = layer.reset_after(!option.starts_with("reset_before"));
    Some(match option {
        "activations" => layer
            .activation(Activation::softsign())
            .recurrent_activation(Activation::hard_sigmoid()),
        "no_bias" | "reset_before_no_bias" => layer.bias(false),
        "reset_before_masked" => layer.masked(),
        _ => layer,
    })
}

fn simple_rnn(option: &str) -> Option<SimpleRnn> {
    let layer = SimpleRnn::new(2);
    Some(match option {
        "no_bias" => layer.bias(false),
        "relu" => layer.activation(Activation::relu()),
        "softplus" => layer.activation(Activation::softplus()),
        _ => layer,
    })
}

/// Creates the model of a dense cell with one of the options that all cells have.
fn dense<C: Cell>(layer: Rnn<C>, option: &str, case: &Case) -> Option<Model> {
    let layer = match option.contains("initial") {
        true => layer.initial_state(),
        false => layer,
    };
    let layer = match option.contains("masked") || option.contains("packed") {
        true => layer.masked(),
        false => layer,
    };
    let layer = match option.contains("packed") {
        true => layer.zero_output_for_mask(true),
        false => layer,
    };
    let layer = layer.return_sequences(!option.contains("last"));
    let layer = if option.contains("reverse") { layer.reverse() } else { layer };
    Some(match option.split('_').next()? {
        "stacked" => stacked(layer),
        "bidirectional" => model_of(Bidirectional::new(layer), case),
        _ => model_of(layer, case),
    })
}

fn other(name: &str, case: &Case) -> Model {
    let (kind, option) = split(
        name,
        &["bidirectional", "conv_gru", "conv_lstm", "mask", "time_distributed", "bilinear"],
    );
    match (kind, option) {
        ("bidirectional", "last") => {
            let layer = Lstm::new(2).masked().return_sequences(false);
            model_of(Bidirectional::new(layer), case)
        }
        ("bidirectional", merge) => {
            let layer = Bidirectional::new(Gru::new(2).masked());
            match merge {
                "sum" => model_of(layer.merge(Merge::Sum), case),
                "mul" => model_of(layer.merge(Merge::Mul), case),
                "ave" => model_of(layer.merge(Merge::Ave), case),
                "unmerged" => model_of(layer.unmerged(), case),
                _ => panic!("no layer for {name}"),
            }
        }
        ("conv_gru", option) => {
            let layer = ConvGru::new(2, 2).reset_after(!option.contains("before"));
            match option.contains("last") {
                true => model_of(layer.channels_last(), case),
                false => model_of(layer, case),
            }
        }
        ("conv_lstm", option) => model_of(conv_lstm(option), case),
        ("mask", "ed_mean") => {
            let [x, mask] = nodes(case);
            Model::new([("out0", nn::MaskedMean::new().call([x, mask]))])
        }
        ("mask", "ing") => {
            let [x] = nodes(case);
            Model::new([("out0", x.layer(nn::Masking::new(0.5)).0)])
        }
        ("bilinear", option) => {
            let layer = nn::Bilinear::new(2).bias(option.is_empty());
            Model::new([("out0", layer.call(nodes(case)))])
        }
        ("time_distributed", _) => {
            let [x] = nodes(case);
            let layer = nn::TimeDistributed::new(nn::Conv::new(2, 2));
            Model::new([("out0", x.layer(layer))])
        }
        _ => panic!("no layer for {name}"),
    }
}

fn conv_lstm(option: &str) -> ConvLstm {
    let two = || ConvLstm::new(2, [2, 2]);
    match option {
        "1d" => ConvLstm::new(2, 3),
        "1d_last" => ConvLstm::new(2, [2]).return_sequences(false),
        "2d" => ConvLstm::new(2, [3, 2]).padding(Padding::Same),
        "2d_no_bias" => two().bias(false),
        "2d_strides" => two().strides([2, 1]),
        "2d_dilation" => two().dilation([2, 1]),
        "2d_channels_last" => ConvLstm::new(2, [3, 2]).padding(Padding::Same).channels_last(),
        "3d" => ConvLstm::new(2, [2, 2, 1]),
        "1d_masked" => ConvLstm::new(2, 3).padding(Padding::Same).masked(),
        "1d_activations" => ConvLstm::new(2, 3)
            .activation(Activation::elu())
            .recurrent_activation(Activation::hard_sigmoid()),
        _ => panic!("no ConvLstm for {option}"),
    }
}

/// Creates the inputs of a model for the inputs of a case.
fn nodes<const N: usize>(case: &Case) -> [Node; N] {
    let inputs = case.inputs();
    assert_eq!(inputs.len(), N, "{}", case.name);
    std::array::from_fn(|i| nn::input(&format!("in{i}"), inputs[i].shape()))
}

fn stacked<C: Cell>(layer: Rnn<C>) -> Model {
    let x = nn::input("in0", dims![_, _, 3]);
    Model::new([("out0", x.layer(layer.clone()).layer(layer))])
}

/// Creates the model of a layer that takes all inputs of a case. Its outputs are those outputs of
/// the layer and then tensors of its state that the case has.
fn model_of<L: Recurrent>(layer: L, case: &Case) -> Model {
    match case.inputs().len() {
        1 => model_of_inputs::<L, 1>(layer, case),
        2 => model_of_inputs::<L, 2>(layer, case),
        3 => model_of_inputs::<L, 3>(layer, case),
        4 => model_of_inputs::<L, 4>(layer, case),
        _ => model_of_inputs::<L, 5>(layer, case),
    }
}

fn model_of_inputs<L: Recurrent, const N: usize>(layer: L, case: &Case) -> Model {
    let outputs: [Node; 5] = nn::layer(L::NAME, nodes::<N>(case), move |cx, xs| {
        let (y, state) = layer.run(cx, &xs);
        let mut all = vec![];
        nn::LayerOutput::append_to((y, state), &mut all);
        std::array::from_fn(|i| all.get(i).cloned().unwrap_or_else(|| Tensor::zeros(1)))
    });
    let names: Vec<String> = (0..5).map(|i| format!("out{i}")).collect();
    let outputs = names.iter().zip(&outputs).take_while(|(name, _)| case.find(name).is_some());
    Model::new(outputs.map(|(name, y)| (name.as_str(), y)))
}

/// Asserts the outputs of a model and the gradients of its inputs and parameters, eagerly and under
/// `jit`.
fn assert_layer(case: &Case, model: &Model) {
    let inputs = case.inputs();
    let types: Vec<TypeSpec> = inputs.iter().map(|x| TypeSpec::from(&x.ty().unwrap())).collect();
    let mut params = model.init(key(0), &types).unwrap().params;
    for (layer, variables) in &mut params {
        for (name, value) in variables {
            let recorded = case.get(&format!("{layer}.{name}"));
            assert_eq!(value.shape(), recorded.shape(), "{}: {layer}.{name}", case.name);
            *value = recorded;
        }
    }
    let apply = |(params, xs): (Params, Vec<Tensor>)| {
        model.apply_with(&params, &Params::new(), xs, &Mode::Eval).outputs
    };
    let args = (params, inputs);
    let (eager, jitted) = (apply(args.clone()), jit(apply)(args.clone()));
    for (name, y) in eager.iter().chain(&jitted) {
        case.assert_near(name, y, 2e-6);
    }
    let total = |args: (Params, Vec<Tensor>)| {
        let ys = apply(args);
        let terms = ys.iter().map(|(name, y)| (y * case.get(&name.replace("out", "ct"))).sum(..));
        terms.reduce(|a, b| a + b).unwrap()
    };
    let (params, xs) = grad(total)(args);
    for (path, g) in params.leaves() {
        case.assert_near(&format!("grad.{path}"), g, 1e-5);
    }
    for (i, g) in xs.iter().enumerate() {
        if case.find(&format!("grad.in{i}")).is_some() {
            case.assert_near(&format!("grad.in{i}"), g, 1e-5);
        }
    }
}
