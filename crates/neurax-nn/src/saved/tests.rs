//! Models that are written and read back.

use super::*;
use crate::*;
use neurax_tensor::{Padding, Tensor, TypeSpec, dims, key, tensor, types};

fn directory(name: &str) -> std::path::PathBuf {
    std::env::temp_dir().join(format!("neurax-saved-{}-{name}", std::process::id()))
}

/// Checks that a loaded model has the same paths and computes the same as the saved one.
fn assert_kept(name: &str, model: Model, types: &[TypeSpec], xs: &[Tensor]) -> Net {
    let net = model.bind(model.init(key(0), types).unwrap());
    net.save(directory(name)).unwrap();
    let loaded = Net::load(directory(name)).unwrap();
    let paths = |n: &Net| n.model.nodes().map(String::from).collect::<Vec<_>>();
    assert_eq!(paths(&loaded), paths(&net));
    for (path, y) in net.apply(xs).outputs {
        let want = y.to_vec::<f32>().unwrap();
        assert_eq!(loaded.apply(xs).outputs[&path].to_vec::<f32>().unwrap(), want);
    }
    loaded
}

#[test]
fn layers_with_options_and_operators_are_kept() {
    let x = input("x", dims![_, 2, 6]);
    let conv = Conv::new(4, 3).padding(Padding::Same).kernel(init::normal(0.5));
    let y = x.layer(conv).layer(BatchNorm::new()).relu().layer(MaxPool::new(2)).flatten();
    let y = (2.0 / (&y + 3) - tensor([f32::INFINITY, 1.0, 2.0, 3.0]).slice(0, 1..2)) * &-&y;
    let model = concat([&y, &y.dense(3)], -1).reshape([3, 5]).model();
    let x = key(1).normal([2, 2, 6]);
    let loaded = assert_kept("options", model, &types![f32[_, 2, 6]], &[x]);
    // The initializer is kept, too.
    let vars = loaded.model.init(key(5), &types![f32[_, 2, 6]]).unwrap();
    let deviation = vars.get("conv.kernel").unwrap().std(.., 0).item().unwrap();
    assert!((0.3..0.8).contains(&deviation), "{deviation}");
}

#[test]
fn blocks_shared_layers_and_several_outputs_are_kept() {
    let tower = block("tower", |x| x.dense(4).relu());
    let words = shared(Embedding::new(9, 4)).named("words");
    let tokens = typed_input("tokens", neurax_tensor::DType::I32, dims![_, "length"]);
    let hidden = tower.call(tower.call(words.call(&tokens)));
    let model = Model::new([("logits", words.attend(&hidden)), ("hidden", hidden)]);
    let loaded =
        assert_kept("blocks", model, &types![i32[_, _]], &[tensor([[1, 2, 8], [0, 3, 4]])]);
    let layers: Vec<&String> = loaded.vars.params.keys().collect();
    assert_eq!(layers, ["tower.dense", "words"]);
}

#[test]
fn recurrent_layers_are_kept() {
    let tokens = typed_input("tokens", neurax_tensor::DType::I32, dims![_, _]);
    let (mask, x) = (mask_of(&tokens, 0), tokens.embedding(9, 3));
    let (y, (h, c)) = Lstm::new(4).masked().reverse().return_state().call([&x, &mask]);
    let y = Lstm::new(4)
        .initial_state()
        .recurrent_activation(Activation::hard_sigmoid())
        .call([&y, &h, &c]);
    let both = Bidirectional::new(Gru::new(2).masked()).merge(Merge::Sum).call([&y, &mask]);
    let (a, b) = y.layer(Bidirectional::new(SimpleRnn::new(2)).unmerged());
    let mean = MaskedMean::new().call([&both, &mask]);
    let (steps, _) = y.layer(TimeDistributed::new(Dense::new(3))).layer(Masking::new(0.0));
    let product = Bilinear::new(2).call([&a, &b]);
    let model = Model::new([("mean", mean), ("steps", steps), ("product", product)]);
    assert_kept("recurrent", model, &types![i32[_, _]], &[tensor([[1, 2, 8, 0], [0, 3, 4, 0]])]);
}

#[test]
fn attention_and_transformers_are_kept() {
    let (x, memory) = (input("x", dims![_, 3, 4]), input("memory", dims![_, 5, 4]));
    let scaling = Rope::new().scaling(RopeScaling::Linear(2.0)).interleaved();
    let attention = MultiHeadAttention::new(2, 2).rope(scaling).qk_norm().window(1, 0);
    let decoder = TransformerLayer::new(attention, FeedForward::swiglu(5))
        .cross_attention(MultiHeadAttention::new(2, 2).kv_heads(1).alibi());
    let y = decoder.call([&x, &memory]).position_embedding(3);
    let experts = MixtureOfExperts::new(3, 2).activation(Activation::gelu());
    let (y, balance) = y.layer(experts);
    let mean = AdditiveAttention::new().call([&y.layer(SinusoidalPositions::new()), &memory]);
    let model = Model::new([("mean", mean), ("balance", balance)]);
    let xs = [key(0).normal([2, 3, 4]), key(1).normal([2, 5, 4])];
    let types = types![f32[_, 3, 4], f32[_, 5, 4]];
    assert_kept("attention", model, &types, &xs);
}

#[test]
fn every_type_of_layers_has_one_name() {
    let mut names: Vec<&str> = registry::all().map(|t| t.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// The layers that compute in f32 at least.
const FULL: &str = "\
    batch_norm conv_gru conv_lstm group_norm gru layer_norm local_response_norm lstm \
    rms_norm simple_rnn unit_norm";

/// The layers that compute in f32 at least and return it.
const FULL_OUTPUT: &str = "adaptive_log_softmax log_softmax log_sum_exp softmax softmin";

/// The layers that compute in the dtype of the policy, unless an option, such as the name of an
/// activation, decides it.
const OF_POLICY: &str = "\
    activation activity_regularization adaptive_avg_pool adaptive_lp_pool \
    adaptive_max_pool additive_attention all_masks alpha_dropout attend avg_pool bias \
    bilinear blur_pool celu class_token concat cond conv conv_transpose cosine_similarity \
    cropping deform_conv dense depthwise_conv dot drop_path dropout einsum_dense elu \
    embedding embedding_bag feature_alpha_dropout feed_forward first_token flatten fold \
    fractional_max_pool gaussian_dropout gaussian_noise gelu global_avg_pool \
    global_lp_pool global_max_pool glu hard_shrink hard_sigmoid hard_silu hard_tanh \
    leaky_relu lp_pool mask masked_mean masking max_pool max_pool_with_indices max_unpool \
    maxout merged mixture_of_experts multi_head_attention negate operation output pad \
    pairwise_distance permute pixel_shuffle pixel_unshuffle position_embedding prelu \
    repeat_vector reshape resize rope rrelu scale selu separable_conv \
    sinusoidal_positions soft_shrink softplus spatial_dropout split threshold unfold \
    up_sampling";

#[test]
fn every_type_of_layers_has_a_stated_precision() {
    use crate::LayerPrecision::{Full, FullOutput, OfPolicy};
    let around = ["bidirectional", "spectral_norm", "stacked", "time_distributed", "weight_norm"];
    for entry in registry::all() {
        // `time_distributed.layer_norm/1` is a layer norm, `bidirectional.lstm.state/2` an LSTM.
        let mut parts = entry.name.split(['.', '/']).filter(|part| !around.contains(part));
        let layer = parts.next().unwrap();
        let lists = [(FULL, Full), (FULL_OUTPUT, FullOutput), (OF_POLICY, OfPolicy)];
        let of = |names: &str| names.split_whitespace().any(|name| name == layer);
        let found = lists.iter().find(|(names, _)| of(names));
        let Some((_, precision)) = found else {
            panic!(
                "expected the layer `{layer}` in one of the lists above; one that sums squares or \
                 exponentials or feeds a state back needs `Layer::PRECISION`"
            );
        };
        assert_eq!(entry.precision, *precision, "{}", entry.name);
    }
}

#[test]
fn layers_of_closures_are_an_error_that_names_them() {
    let model = layer("mine", [input("x", dims![_])], |_, [x]| x * 2.0).model();
    let e = model.bind(Vars::default()).save(directory("closure")).unwrap_err();
    assert!(
        e.message().contains("a layer of the library") && e.message().contains("`mine`"),
        "{e}"
    );
}

/// A cell that is not one of the library.
#[derive(Clone, Debug)]
struct Total;

impl crate::Cell for Total {
    const NAME: &'static str = "total";
    type Weights = ();
    type State = Tensor;

    fn prepare(&self, _: &mut crate::Cx, xs: Tensor) -> ((), Tensor) {
        ((), xs)
    }

    fn initial_state(&self, (): &(), xs: &Tensor) -> Tensor {
        xs.get(0).zeros_like()
    }

    fn step(&self, (): &(), x: &Tensor, state: Tensor) -> Tensor {
        state + x
    }

    fn output(&self, state: &Tensor) -> Tensor {
        state.clone()
    }
}

#[test]
fn cells_of_a_user_are_an_error_that_says_what_can_be_saved() {
    let x = input("x", dims![_, _, 2]);
    let both = Bidirectional::new(crate::Rnn::of(Total));
    for y in [x.layer(crate::Rnn::of(Total)).named("mine"), x.layer(both).named("mine")] {
        let e = y.bind(Vars::default()).save(directory("cell")).unwrap_err();
        for part in ["layer `mine`: expected a layer of the library", "with `Vars::save`"] {
            assert!(e.message().contains(part), "{e}");
        }
    }
}

#[test]
fn damaged_files_are_errors() {
    let model = input("x", dims![_, 3]).dense(2).relu().model();
    let net = model.bind(model.init(key(0), &types![f32[_, 3]]).unwrap());
    let directory = directory("damaged");
    net.save(&directory).unwrap();
    let text = std::fs::read_to_string(directory.join(MODEL)).unwrap();
    let message = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}: {text}");
        std::fs::write(directory.join(MODEL), text.replacen(from, to, 1)).unwrap();
        Net::load(&directory).unwrap_err().message().to_string()
    };
    assert!(message("neurax-model", "other").contains("expected neurax-model of version 1"));
    assert!(
        message("\"name\": \"dense\"", "\"name\": \"desne\"")
            .contains("expected a known layer, got `desne`")
    );
    assert!(message("\"units\"", "\"unit\"").contains("layer `dense`: dense"));
    let mut json: serde_json::Value = serde_json::from_str(&text).unwrap();
    json["graphs"][0]["nodes"][1]["inputs"][0][0] = 1.into();
    std::fs::write(directory.join(MODEL), json.to_string()).unwrap();
    let cycle = Net::load(&directory).unwrap_err().message().to_string();
    assert!(cycle.contains("an earlier node"), "{cycle}");
    let whole = text.as_bytes();
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 0x11;
        std::fs::write(directory.join(MODEL), damaged).unwrap();
        // Whether it is an error depends on the byte: there must be no panic.
        drop(Net::load(&directory));
    }
}
