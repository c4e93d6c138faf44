//! Whole architectures: random checkpoints of `torchvision` and `transformers` are loaded, and the
//! outputs and gradients are those that the script recorded.

use crate::cases::{Case, cases};
use neurax::prelude::*;
use nn::Renames;
use nn::models::{
    self, BertConfig, Gpt2Config, LlamaConfig, MobileNetV2Config, ResNetConfig, UNetConfig,
    VitConfig, WhisperConfig,
};

/// The largest difference to a recorded output, in parts of its largest element.
const TOLERANCE: f64 = 1e-4;

/// Returns the recorded inputs and outputs of an architecture.
fn case(name: &str) -> Case {
    let all = cases("models", 8);
    all.into_iter().find(|case| case.name == name).unwrap()
}

/// Returns the path of a checkpoint.
fn checkpoint(file: &str) -> String {
    format!("{}/tests/torch/models/{file}", env!("CARGO_MANIFEST_DIR"))
}

/// Returns the input of texts.
fn tokens(name: &str) -> Node {
    nn::typed_input(name, I64, dims!["batch", "length"])
}

/// Asserts that the outputs on the recorded inputs are the recorded outputs, also of the model that
/// was saved with its structure and loaded.
fn assert_outputs(case: &Case, model: &Model, vars: &Vars) {
    let directory = format!("neurax-zoo-{}-{}", std::process::id(), case.name);
    let directory = std::env::temp_dir().join(directory);
    let net = model.bind(vars.clone());
    net.save(&directory).unwrap();
    for net in [net, nn::Net::load(&directory).unwrap()] {
        let out = net.apply(case.inputs());
        for (i, name) in model.outputs().enumerate() {
            case.assert_near(&format!("out{i}"), &out[name], TOLERANCE);
        }
    }
    std::fs::remove_dir_all(&directory).unwrap();
}

/// Asserts that the gradients of the sum of the products of the output and the recorded `ct0` are
/// those of a checkpoint of gradients.
fn assert_gradients(case: &Case, model: &Model, vars: &Vars, want: &Vars) {
    let (inputs, ct) = (case.inputs(), case.get("ct0"));
    let (_, grads) = value_and_grad_at(&vars.params, |p| {
        let out = model.apply_with(&p, &vars.state, inputs.clone(), &Mode::Eval);
        (out.y() * &ct).sum(..)
    });
    assert_eq!(vars.trainable(), want.trainable());
    for path in vars.trainable() {
        let (layer, name) = path.rsplit_once('.').unwrap();
        let (found, want) = (&grads[layer][name], want.get(&path).unwrap());
        let [found, want] = [found, &want].map(|x| x.to_vec::<f32>().unwrap());
        let scale = want.iter().fold(1.0, |s: f32, w| s.max(w.abs()));
        let far = found.iter().zip(&want).find(|(f, w)| (*f - *w).abs() > 1e-4 * scale);
        assert_eq!(far, None, "{path}: found and expected");
    }
}

fn small_resnet() -> Model {
    let config = ResNetConfig { width: 4, classes: 7, ..ResNetConfig::resnet18() };
    models::resnet(nn::input("image", dims![_, 3, _, _]), &config).model()
}

#[test]
fn resnet18() {
    let (case, model, rules) = (case("resnet18"), small_resnet(), Renames::torch());
    let vars = Vars::load_renamed(checkpoint("resnet18.safetensors"), &model, &rules).unwrap();
    assert_outputs(&case, &model, &vars);
    let rules = rules.allow_missing("**.mean").allow_missing("**.var");
    let grads = checkpoint("resnet18_gradients.safetensors");
    let grads = Vars::load_renamed(grads, &model, &rules).unwrap();
    assert_gradients(&case, &model, &vars, &grads);
}

#[test]
fn mobilenet_v2() {
    let config = MobileNetV2Config { width: 0.1, classes: 5, ..MobileNetV2Config::new() };
    let model = models::mobilenet_v2(nn::input("image", dims![_, 3, _, _]), &config).model();
    let path = checkpoint("mobilenet_v2.pt");
    let vars = Vars::load_renamed(path, &model, &Renames::torch()).unwrap();
    assert_outputs(&case("mobilenet_v2"), &model, &vars);
}

#[test]
fn a_checkpoint_of_another_model_is_one_error_with_all_differences() {
    let path = checkpoint("mobilenet_v2.pt");
    let e = Vars::load_renamed(path, &small_resnet(), &Renames::torch()).unwrap_err();
    let message = e.message();
    for part in ["mobilenet_v2.pt", "\n    features.0.0.weight\n", "\n    and "] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let config =
        ResNetConfig { blocks: vec![2, 2, 2, 1], width: 4, classes: 3, small_images: false };
    let model = models::resnet(nn::input("image", dims![_, 3, _, _]), &config).model();
    let path = checkpoint("resnet18.safetensors");
    let e = Vars::load_renamed(path, &model, &Renames::torch()).unwrap_err();
    let message = e.message();
    for part in [
        "\n    layer4.1.conv2.weight\n",
        "\n    layer4.1.bn2.running_var\n",
        "\n    fc.kernel: expected f32[32, 3], got f32[32, 7]\n",
        "\n    fc.bias: expected f32[3], got f32[7]\n",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
}

#[test]
fn unet() {
    let config = UNetConfig { widths: vec![4, 6, 8], classes: 3 };
    let model = models::unet(nn::input("image", dims![_, 2, 12, 8]), &config).model();
    let rules = Renames::torch().without_prefix("model.");
    let vars = Vars::load_renamed(checkpoint("unet.ckpt"), &model, &rules).unwrap();
    assert_outputs(&case("unet"), &model, &vars);
}

#[test]
fn vit() {
    let config =
        VitConfig { image: 24, patch: 8, features: 16, layers: 2, heads: 2, units: 24, classes: 5 };
    let model = models::vit(nn::input("image", dims![_, 3, 24, 24]), &config).model();
    let path = checkpoint("vit.safetensors");
    let vars = Vars::load_renamed(path, &model, &models::vit_renames()).unwrap();
    assert_outputs(&case("vit"), &model, &vars);
}

#[test]
fn bert() {
    let small = BertConfig { vocabulary: 40, context: 12, features: 16, ..BertConfig::mini() };
    let config = BertConfig { layers: 2, heads: 2, units: 24, ..small };
    let mask = nn::typed_input("mask", BOOL, dims!["batch", "length"]);
    let (all, text) = models::bert([tokens("tokens"), tokens("segments"), mask], &config);
    let model = Model::new([("all", all), ("text", text)]);
    let path = checkpoint("bert.safetensors");
    let vars = Vars::load_renamed(path, &model, &models::bert_renames()).unwrap();
    assert_outputs(&case("bert"), &model, &vars);
}

fn small_gpt2(cached: bool) -> Model {
    let small = Gpt2Config { vocabulary: 40, context: 10, features: 16, ..Gpt2Config::small() };
    let config = Gpt2Config { layers: 2, heads: 2, cached, ..small };
    models::gpt2(tokens("tokens"), &config).model()
}

fn small_llama(cache: Option<usize>) -> Model {
    let config = LlamaConfig {
        vocabulary: 40,
        features: 32,
        layers: 2,
        heads: 4,
        kv_heads: 2,
        units: 24,
        rope_base: 500_000.0,
        rope_scaling: nn::RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64.0 },
        epsilon: 1e-5,
        cache,
    };
    models::llama(tokens("tokens"), &config).model()
}

/// Asserts that a model with a cache of keys and values, which gets a part of the recorded tokens
/// at a time, has the recorded logits.
fn assert_generation(case: &Case, cached: &Model, params: &nn::Params) {
    let tokens = case.get("in0");
    let state = cached.init(key(0), &types![i64[2, 1]]).unwrap().state;
    let mut vars = Vars { params: params.clone(), state };
    let model = cached.clone();
    let step = jit(move |(vars, x): (Vars, Tensor)| {
        let out = model.apply(&vars, x, &Mode::Eval);
        (out.y().clone(), out.state)
    });
    let mut logits = Vec::new();
    for part in [0..3, 3..4, 4..5, 5..6, 6..8] {
        let (y, state) = step.run((vars.clone(), tokens.slice(1, part))).unwrap();
        vars.state = state;
        logits.push(y);
    }
    case.assert_near("out0", &concat(logits, 1), TOLERANCE);
}

#[test]
fn gpt2() {
    let (case, model, rules) = (case("gpt2"), small_gpt2(false), models::gpt2_renames());
    let vars = Vars::load_renamed(checkpoint("gpt2.safetensors"), &model, &rules).unwrap();
    assert_outputs(&case, &model, &vars);
    assert_generation(&case, &small_gpt2(true), &vars.params);
    let grads = checkpoint("gpt2_gradients.safetensors");
    let grads = Vars::load_renamed(grads, &model, &rules).unwrap();
    assert_gradients(&case, &model, &vars, &grads);
}

#[test]
fn llama() {
    let (case, model, rules) = (case("llama"), small_llama(None), models::llama_renames());
    let vars = Vars::load_renamed(checkpoint("llama"), &model, &rules).unwrap();
    assert_outputs(&case, &model, &vars);
    assert_generation(&case, &small_llama(Some(9)), &vars.params);
}

#[test]
fn whisper_encoder() {
    let config = WhisperConfig { context: 10, features: 16, layers: 2, heads: 2, units: 24 };
    let model = models::whisper_encoder(nn::input("spectrum", dims![_, 8, 20]), &config).model();
    let path = checkpoint("whisper.safetensors");
    let loaded = Vars::load_renamed(path, &model, &models::whisper_renames()).unwrap();
    let vars = model.init_missing(&loaded, key(0), &types![f32[_, 8, 20]]).unwrap();
    assert_outputs(&case("whisper"), &model, &vars);
}
