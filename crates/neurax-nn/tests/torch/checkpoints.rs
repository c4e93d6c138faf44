//! State dicts of PyTorch's modules, loaded into our layers with the rules of `Renames::torch`.

use crate::cases::{Case, cases};
use neurax::prelude::*;
use nn::{Bidirectional, Gru, Lstm, PRelu, Renames, SimpleRnn, Stacked};

/// Writes the state dict of a case into a file, and returns its path.
fn state_dict(case: &Case) -> std::path::PathBuf {
    let tensors: std::collections::BTreeMap<String, Tensor> = case.with_prefix("file.");
    let name = format!("neurax-checkpoint-{}-{}.safetensors", std::process::id(), case.name);
    let path = std::env::temp_dir().join(name);
    neurax::io::safetensors::save(&tensors, &path).unwrap();
    path
}

#[test]
fn recurrent_modules_and_prelu() {
    let all = cases("checkpoints", 13);
    for case in &all {
        let x = nn::input("x", case.get("in0").shape().to_vec());
        let y = match case.name.as_str() {
            "lstm" => x.layer(Lstm::new(2)),
            "lstm_no_bias" => x.layer(Lstm::new(2).bias(false)),
            "lstm_bidirectional" => x.layer(Bidirectional::new(Lstm::new(2))),
            "gru" => x.layer(Gru::new(2)),
            "gru_no_bias" => x.layer(Gru::new(2).bias(false)),
            "gru_bidirectional" => x.layer(Bidirectional::new(Gru::new(2))),
            "simple_rnn" => x.layer(SimpleRnn::new(2)),
            "simple_rnn_no_bias" => x.layer(SimpleRnn::new(2).bias(false)),
            "simple_rnn_bidirectional" => x.layer(Bidirectional::new(SimpleRnn::new(2))),
            "lstm_stacked" => x.layer(Stacked::new(Lstm::new(2), 2)),
            "gru_stacked_bidirectional" => {
                x.layer(Stacked::new(Bidirectional::new(Gru::new(2)), 2))
            }
            "prelu" => x.layer(PRelu::new()),
            "prelu_channels" => x.layer(PRelu::new().axes([1])),
            other => panic!("no layer for {other}"),
        };
        let model = y.named("layer").model();
        let path = state_dict(case);
        let vars = Vars::load_renamed(&path, &model, &Renames::torch());
        std::fs::remove_file(&path).unwrap();
        let vars = vars.unwrap_or_else(|e| panic!("{}: {e}", case.name));
        let out = model.apply(&vars, case.get("in0"), &Mode::Eval);
        case.assert_near("out0", out.y(), 1e-5);
    }
}
