//! A small GPT: a decoder of two blocks that learns the characters of the pages of this
//! repository, and writes text with a cache of keys and values.

use neurax::prelude::*;
use std::path::Path;

/// The number of steps of a training.
pub const STEPS: usize = 150;
/// The number of characters of an example.
const LENGTH: usize = 32;
/// The number of characters of a batch.
const BATCH: usize = 16;
/// The number of different codes of characters: ASCII.
const CODES: usize = 128;

/// Returns the model: codes of characters to the logits of the next ones. `cache` is the number of
/// positions that it keeps for generation.
pub fn model(cache: Option<usize>) -> Model {
    let attention = nn::MultiHeadAttention::new(4, 16).rope(nn::Rope::new()).bias(false);
    let attention = match cache {
        Some(length) => attention.cache(length),
        None => attention.causal(),
    };
    let block = nn::TransformerLayer::new(attention, nn::FeedForward::swiglu(128)).rms_norm();
    let mut x = nn::typed_input("codes", I32, dims![_, _]).embedding(CODES, 64);
    for _ in 0..2 {
        x = block.call([&x]);
    }
    x.rms_norm().dense(CODES).named("logits").model()
}

/// Returns the text to learn: the Markdown pages in the folder `docs` of the repository. A
/// published package is outside of the repository and has one page, its README.
///
/// # Errors
/// Returns an error if a page cannot be read.
pub fn text() -> Result<String> {
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

/// Returns the codes of a text.
pub fn codes(text: &str) -> Vec<i32> {
    text.chars().filter(char::is_ascii).map(|c| c as i32).collect()
}

/// Returns the mean cross-entropy of the next characters: `windows` are `[batch, length + 1]`.
pub fn cost(model: &Model, params: &Params, windows: &Tensor) -> Tensor {
    let (x, next) = (windows.slice(1, ..-1), windows.slice(1, 1..));
    let logits = model.apply_with(params, &Params::new(), x, &Mode::Eval);
    loss::sparse_categorical_cross_entropy_logits(logits.y(), &next)
}

/// Trains the model for `steps` steps, and returns its parameters and the loss of the last step.
///
/// # Errors
/// Returns an error if a step fails.
pub fn train(steps: usize) -> Result<(Params, f64)> {
    let model = model(None);
    let codes = codes(&text()?);
    let text = Tensor::from_vec(codes.clone(), [codes.len()]);
    let vars = model.init(key(0), &types![i32[_, _]])?;
    let opt = optim::chain([optim::clip(1.0), optim::adam(3e-3)]);
    let step = {
        let opt = opt.clone();
        jit(move |(params, state, key): (Params, nn::OptState, Key)| {
            let starts = key.randint([BATCH, 1], 0..(codes.len() - LENGTH) as i64);
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

/// Continues `prompt` by `count` characters, one at a time: each step computes the newest position
/// only, and attends to the keys that the state holds.
///
/// # Errors
/// Returns an error if a step fails.
pub fn write(params: &Params, prompt: &str, count: usize, temperature: f64) -> Result<String> {
    let prompt = codes(prompt);
    let model = model(Some(prompt.len() + count));
    let state = model.init(key(0), &types![i32[1, _]])?.state;
    let vars = Vars { params: params.clone(), state };
    let next = jit(move |(vars, x, key): (Vars, Tensor, Key)| {
        let out = model.apply(&vars, x, &Mode::Eval);
        let last = out.y().index((.., -1)) / temperature;
        (key.categorical(&last, -1).expand_dims(-1), out.state)
    });
    let (mut vars, mut text) = (vars, String::new());
    let mut x = Tensor::from_vec(prompt.clone(), [1, prompt.len()]);
    for i in 0..count {
        (x, vars.state) = next.run((vars.clone(), x, key(2).fold_in(i as i64)))?;
        text.extend(
            x.to_vec::<i32>()?.iter().filter_map(|&c| u8::try_from(c).ok()).map(char::from),
        );
    }
    Ok(text)
}

/// Runs the example.
pub fn main() -> Result<()> {
    let (params, loss) = train(STEPS)?;
    println!("loss {loss:.3}");
    println!("{}", write(&params, "The ", 60, 0.5)?);
    Ok(())
}
