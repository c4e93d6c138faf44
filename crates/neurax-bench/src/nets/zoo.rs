//! Models of `neurax::nn` that are measured as a user would build them.

use crate::data;
use neurax::prelude::*;
use nn::models::{Gpt2Config, ResNetConfig, gpt2, resnet};

/// A classifier of `nn` whose training and inference are measured.
pub trait ModelTask {
    /// The prefix of the names of its tasks.
    const NAME: &'static str;

    /// Creates the model.
    fn model() -> Model;

    /// Returns `n` input examples and their class indices.
    fn examples(n: usize) -> (Tensor, Tensor);
}

/// ResNet-18 for 10 classes of images of 32 x 32 pixels.
pub struct ResNet18;

impl ModelTask for ResNet18 {
    const NAME: &'static str = "resnet18";

    fn model() -> Model {
        let config = ResNetConfig { classes: 10, small_images: true, ..ResNetConfig::resnet18() };
        resnet(nn::input("x", dims![_, 3, 32, 32]), &config).model()
    }

    fn examples(n: usize) -> (Tensor, Tensor) {
        (data::around_zero(1, [n, 3, 32, 32], 1.0), data::classes(2, [n], 10))
    }
}

/// A classifier of sequences: an LSTM of 128 units over 100 steps of 128 features, and a dense
/// layer on its last output.
pub struct LstmClassifier;

impl ModelTask for LstmClassifier {
    const NAME: &'static str = "lstm";

    fn model() -> Model {
        let lstm = nn::Lstm::new(128).return_sequences(false);
        nn::input("x", dims![_, 100, 128]).layer(lstm).dense(10).model()
    }

    fn examples(n: usize) -> (Tensor, Tensor) {
        (data::around_zero(1, [n, 100, 128], 1.0), data::classes(2, [n], 10))
    }
}

/// A small GPT-2: four blocks of 256 features and four heads, 1000 tokens in the vocabulary.
pub struct Gpt2Mini;

impl Gpt2Mini {
    /// The largest number of tokens of a text.
    pub const CONTEXT: usize = 256;
    const VOCABULARY: usize = 1000;

    fn config() -> Gpt2Config {
        Gpt2Config {
            vocabulary: Gpt2Mini::VOCABULARY,
            context: Gpt2Mini::CONTEXT,
            features: 256,
            layers: 4,
            heads: 4,
            dropout: 0.0,
            cached: false,
        }
    }

    /// Creates the model that keeps the keys and values of earlier calls in its state.
    pub fn cached_model() -> Model {
        let config = Gpt2Config { cached: true, ..Gpt2Mini::config() };
        gpt2(nn::typed_input("x", I32, dims![_, _]), &config).model()
    }
}

impl ModelTask for Gpt2Mini {
    const NAME: &'static str = "gpt2";

    fn model() -> Model {
        gpt2(nn::typed_input("x", I32, dims![_, _]), &Gpt2Mini::config()).model()
    }

    fn examples(n: usize) -> (Tensor, Tensor) {
        [1, 2].map(|seed| data::classes(seed, [n, 128], Gpt2Mini::VOCABULARY as u64)).into()
    }
}
