//! A small GPT on a text file: a decoder of two blocks that learns which token comes next, and
//! writes text with a cache of keys and values.
//!
//! ```text
//! cargo run --release -p neurax-examples --example gpt -- --data book.txt --steps 2000 \
//!     --prompt "Once" --temperature 0.8 --top-k 40
//! ```
//!
//! Without `--data`, the text is that of the pages of this repository. A token is a byte; with the
//! feature `tokenizers`, it is one of 512 byte pairs that are learned from the text.

use neurax::prelude::*;
use neurax_examples::{arguments, non_negative, positive};
use std::path::{Path, PathBuf};

/// Learns a text and writes more of it.
#[derive(clap::Parser)]
pub struct GptArguments {
    /// The file of the text. Default: the pages of this repository.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// The number of steps of the training.
    #[arg(long, default_value_t = STEPS, value_parser = positive)]
    pub steps: usize,
    /// The text to continue.
    #[arg(long, default_value = "The ")]
    pub prompt: String,
    /// The divisor of the logits: 0 always takes the most probable token.
    #[arg(long, default_value = "0.5", value_parser = non_negative, allow_negative_numbers = true)]
    pub temperature: f64,
    /// The number of most probable tokens of which one is drawn. All, if there are fewer.
    #[arg(long, default_value = "20", value_parser = positive)]
    pub top_k: usize,
}

/// The number of steps of a training.
pub const STEPS: usize = 150;
/// The number of tokens of an example.
const LENGTH: usize = 32;
/// The number of examples of a batch.
const BATCH: usize = 16;

/// The tokens of texts.
pub struct Tokens {
    /// The number of different tokens.
    pub count: usize,
    #[cfg(feature = "tokenizers")]
    pairs: data::prepare::TextTokenizer,
}

#[cfg(not(feature = "tokenizers"))]
impl Tokens {
    /// Returns the tokens of all texts: their bytes.
    ///
    /// # Errors
    /// Never; byte pairs have errors.
    pub fn learn(_: &str) -> Result<Tokens> {
        Ok(Tokens { count: 256 })
    }

    /// Returns the tokens of a text.
    ///
    /// # Errors
    /// Never; byte pairs have errors.
    pub fn ids(&self, text: &str) -> Result<Vec<i32>> {
        Ok(text.bytes().map(i32::from).collect())
    }

    /// Returns the text of tokens. Bytes that form no character are shown as `�`.
    ///
    /// # Errors
    /// Never; byte pairs have errors.
    pub fn text(&self, ids: &[i32]) -> Result<String> {
        let bytes: Vec<u8> = ids.iter().map(|&id| id as u8).collect();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

#[cfg(feature = "tokenizers")]
impl Tokens {
    /// Learns the most frequent byte pairs of a text, line by line.
    ///
    /// # Errors
    /// Returns an error if the tokenizer cannot be trained.
    pub fn learn(text: &str) -> Result<Tokens> {
        let lines = text.split_inclusive('\n');
        let pairs = data::prepare::TextTokenizer::train(lines, 512, &[])?;
        Ok(Tokens { count: pairs.len(), pairs })
    }

    /// Returns the tokens of a text.
    ///
    /// # Errors
    /// Returns an error if the text cannot be encoded.
    pub fn ids(&self, text: &str) -> Result<Vec<i32>> {
        self.pairs.ids(text)
    }

    /// Returns the text of tokens.
    ///
    /// # Errors
    /// Returns an error if a token does not exist.
    pub fn text(&self, ids: &[i32]) -> Result<String> {
        self.pairs.text(ids)
    }
}

/// Returns the model: tokens, of which there are `count`, to the logits of the next ones. `cache`
/// is the number of positions that it keeps for generation.
pub fn model(count: usize, cache: Option<usize>) -> Model {
    let attention = nn::MultiHeadAttention::new(4, 16).rope(nn::Rope::new()).bias(false);
    let attention = match cache {
        Some(length) => attention.cache(length),
        None => attention.causal(),
    };
    let block = nn::TransformerLayer::new(attention, nn::FeedForward::swiglu(128)).rms_norm();
    let mut x = nn::typed_input("tokens", I32, dims![_, _]).embedding(count, 64);
    for _ in 0..2 {
        x = block.call([&x]);
    }
    x.rms_norm().dense(count).named("logits").model()
}

/// Returns the text to learn without `--data`: the Markdown pages in the folder `docs` of the
/// repository. A published package is outside of the repository and has one page, its README.
///
/// # Errors
/// Returns an error if a page cannot be read.
pub fn pages() -> Result<String> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let docs = package.join("../../docs");
    if !docs.is_dir() {
        return Ok(std::fs::read_to_string(package.join("README.md"))?);
    }
    let mut pages = Vec::new();
    for entry in std::fs::read_dir(docs)? {
        pages.push(entry?.path());
    }
    pages.retain(|path| path.extension().is_some_and(|e| e == "md"));
    pages.sort();
    pages.iter().map(|path| Ok(std::fs::read_to_string(path)?)).collect()
}

/// Returns the mean cross-entropy of the next tokens: `windows` are `[batch, length + 1]`.
pub fn cost(model: &Model, params: &Params, windows: &Tensor) -> Tensor {
    let (x, next) = (windows.slice(1, ..-1), windows.slice(1, 1..));
    let logits = model.apply_with(params, &Params::new(), x, &Mode::Eval);
    loss::sparse_categorical_cross_entropy_logits(logits.y(), &next)
}

/// Trains the model on a text of tokens `ids`, of which there are `count`, for `steps` steps, and
/// returns its parameters and the loss of the last step.
///
/// # Errors
/// Returns an error if the text has fewer tokens than an example, or a step fails.
pub fn train(ids: Vec<i32>, count: usize, steps: usize) -> Result<(Params, f64)> {
    if ids.len() <= LENGTH {
        let why = format!("expected a text of more than {LENGTH} tokens, got {}", ids.len());
        return Err(Error::new("example", why));
    }
    let model = model(count, None);
    let vars = model.init(key(0), &types![i32[_, _]])?;
    let opt = optim::chain([optim::clip(1.0), optim::adam(3e-3)]);
    let step = {
        let opt = opt.clone();
        let last = (ids.len() - LENGTH) as i64;
        let size = ids.len();
        let text = Tensor::from_vec(ids, [size]);
        jit(move |(params, state, key): (Params, nn::OptState, Key)| {
            // Windows that begin anywhere in the text, taken inside of the compiled step.
            let starts = key.randint([BATCH, 1], 0..last);
            let windows = text.take(starts + Tensor::arange(LENGTH + 1), 0);
            let (loss, grads) = value_and_grad_at(&params, |p| cost(&model, &p, &windows));
            let (params, state) = opt.step(&params, &grads, state);
            (params, state, loss)
        })
    };
    let (mut params, mut loss) = (vars.params, tensor(0.0));
    let mut state = opt.init(&params);
    for key in (0..steps).map(|i| key(1).fold_in(i as i64)) {
        (params, state, loss) = step.run((params, state, key))?;
    }
    Ok((params, loss.item()?))
}

/// The rule by which the next token is drawn.
#[derive(Clone, Copy)]
pub struct Sampling {
    /// The divisor of the logits: at 0, the most probable token is always drawn; above 1, rare ones
    /// more often than in the text.
    pub temperature: f64,
    /// The number of most probable tokens of which one is drawn.
    pub top_k: usize,
}

impl Sampling {
    /// Draws a token for each row of logits, [n, tokens].
    pub fn draw(&self, key: &Key, logits: &Tensor) -> Tensor {
        let (best, tokens) = logits.top_k(self.top_k);
        if self.temperature <= 0.0 {
            return tokens.slice(-1, ..1);
        }
        // One of the k best by its position among them, and the token at this position.
        let position = key.categorical(&(best / self.temperature), -1).expand_dims(-1);
        tokens.take_along_axis(&position, -1)
    }
}

/// Continues `prompt` by `steps` tokens, one at a time: each step computes the newest position
/// only, and attends to the keys that the state holds.
///
/// # Errors
/// Returns an error if the prompt is empty, or a step fails.
pub fn write(
    params: &Params,
    tokens: &Tokens,
    prompt: &str,
    steps: usize,
    sampling: Sampling,
) -> Result<String> {
    let prompt = tokens.ids(prompt)?;
    if prompt.is_empty() {
        return Err(Error::new("example", "expected a prompt of at least one token, got none"));
    }
    let model = model(tokens.count, Some(prompt.len() + steps));
    let state = model.init(key(0), &types![i32[1, _]])?.state;
    let vars = Vars { params: params.clone(), state };
    let next = jit(move |(vars, x, key): (Vars, Tensor, Key)| {
        let out = model.apply(&vars, x, &Mode::Eval);
        (sampling.draw(&key, &out.y().index((.., -1))), out.state)
    });
    let (mut vars, mut written) = (vars, Vec::new());
    let mut x = Tensor::from_vec(prompt.clone(), [1, prompt.len()]);
    for i in 0..steps {
        (x, vars.state) = next.run((vars.clone(), x, key(2).fold_in(i as i64)))?;
        written.extend(x.to_vec::<i32>()?);
    }
    tokens.text(&written)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let GptArguments { data, steps, prompt, temperature, top_k } = arguments();
    let text = match data {
        Some(path) => std::fs::read_to_string(path)?,
        None => pages()?,
    };
    let tokens = Tokens::learn(&text)?;
    let ids = tokens.ids(&text)?;
    println!("{} tokens, {} different ones", ids.len(), tokens.count);
    let (params, loss) = train(ids, tokens.count, steps)?;
    println!("loss {loss:.3}");
    let sampling = Sampling { temperature, top_k: top_k.min(tokens.count) };
    println!("{prompt}{}", write(&params, &tokens, &prompt, 60, sampling)?);
    Ok(())
}
