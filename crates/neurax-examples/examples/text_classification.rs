//! Classification of texts: from lines of JSON to tokens, and from tokens to the class by an
//! embedding, attention and a mean over the tokens.
//!
//! ```text
//! cargo run --release -p neurax-examples --example text_classification -- --data reviews.jsonl
//! ```
//!
//! Each line is an object such as `{"text": "a good film", "label": "good"}`; `--data` names such a
//! file. Without it, the program writes one with made-up reviews. Tokens are words; with the
//! feature `tokenizers`, they are byte pairs that are learned from the texts.

use data::TextColumn;
use neurax::prelude::*;
use neurax_examples::arguments;
use serde::Deserialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Trains a classifier of texts. Without `--data`, trains on made-up reviews.
#[derive(clap::Parser)]
struct TextArguments {
    /// The file of JSON lines with the fields `text` and `label`.
    #[arg(long)]
    data: Option<PathBuf>,
}

/// The number of tokens of a text that the model sees.
const LENGTH: usize = 24;
/// The number of tokens in the vocabulary.
const VOCABULARY: usize = 400;

/// Learns the most frequent words of texts; returns a function from texts to the indices of their
/// words, i32[n, LENGTH], padded with 0.
#[cfg(not(feature = "tokenizers"))]
fn tokenizer(texts: &TextColumn) -> Result<impl Fn(&TextColumn) -> Result<Tensor>> {
    let words = data::prepare::TextVectorizer::fit(texts.texts()?, Some(VOCABULARY - 2));
    Ok(move |texts: &TextColumn| Ok(words.indices(texts.texts()?, LENGTH)))
}

/// Learns the most frequent byte pairs of texts; returns a function from texts to the ids of their
/// tokens, i32[n, LENGTH], padded with 0. No word is unknown: it has more tokens.
#[cfg(feature = "tokenizers")]
fn tokenizer(texts: &TextColumn) -> Result<impl Fn(&TextColumn) -> Result<Tensor>> {
    let pairs = data::prepare::TextTokenizer::train(texts.texts()?, VOCABULARY, &[])?;
    Ok(move |texts: &TextColumn| Ok(pairs.encode(texts.texts()?, LENGTH)?.ids))
}

/// Creates a model from token ids to the logits of `classes` classes.
pub fn model(classes: usize) -> Model {
    let ids = nn::typed_input("ids", I32, dims![_, LENGTH]);
    // The mask travels with the node: attention and the mean leave padding out.
    let x = ids.with_mask(nn::mask_of(&ids, 0)).embedding(VOCABULARY, 32);
    let x = &x + x.multi_head_attention(2, 16); // "not" next to "good" is not good
    x.layer_norm().layer(nn::MaskedMean::new()).dropout(0.2).dense(classes).model()
}

/// A line of a file. Other fields are ignored.
#[derive(Deserialize)]
struct ReviewLine {
    text: String,
    label: String,
}

/// Reads a file of JSON lines: the texts, and the labels of the same lines.
///
/// # Errors
/// Returns an error if a line is no object with two texts, `text` and `label`.
pub fn read_reviews(path: &Path) -> Result<(TextColumn, TextColumn)> {
    let lines = data::json_lines::<ReviewLine>(path).epoch(0);
    let lines: Vec<ReviewLine> = lines.collect::<Result<_>>()?;
    let column = |text: fn(&ReviewLine) -> &String| TextColumn::new(lines.iter().map(text));
    Ok((column(|line| &line.text), column(|line| &line.label)))
}

/// Trains on 80 % of a file, prints the classes of `questions`, and returns the accuracy on the
/// other texts.
///
/// # Errors
/// Returns an error if the file is malformed or the training fails.
pub fn accuracy(file: &Path, questions: &[&str]) -> Result<f64> {
    let (texts, labels) = read_reviews(file)?;
    // The vocabulary is learned from the texts to train on: of others, it would know words that a
    // text of tomorrow may not have.
    let parts = Dataset::new(texts, labels.indices.clone())?.split(0.8, key(0));
    let ids = tokenizer(&parts.train.x)?;
    let train = Dataset::new(ids(&parts.train.x)?, parts.train.y)?;
    let test = Dataset::new(ids(&parts.test.x)?, parts.test.y)?;
    let loss = loss::sparse_categorical_cross_entropy_logits;
    let trained = Trainer::new(model(labels.names().len()), loss, optim::adamw(3e-3, 0.01))
        .metric(metric::accuracy())
        .validate(&test)
        .run(&train.shuffled(key(1)).batched(32), epochs(8))?;

    let logits = trained.net().apply(ids(&TextColumn::new(questions))?).y().clone();
    let (chances, best) = (logits.softmax(-1).max(-1).to_vec::<f32>()?, logits.argmax(-1));
    for ((text, class), chance) in questions.iter().zip(best.to_vec::<i32>()?).zip(chances) {
        println!("{text:40} {} ({chance:.2})", labels.names()[class as usize]);
    }
    Ok(trained.validation["accuracy"])
}

/// Writes `count` made-up reviews. A word of praise behind `not` is none.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn write_reviews(path: &Path, count: usize) -> Result<()> {
    let praise = ["good", "great", "moving", "brilliant", "funny"];
    let blame = ["bad", "boring", "weak", "terrible", "slow"];
    let things = ["film", "story", "cast", "music", "ending", "plot"];
    let ends = ["", "I saw it twice.", "We went on a Sunday.", "It is two hours long."];
    let mut text = String::new();
    for i in 0..count {
        let random = key(11).fold_in(i as u32).randint([5], 0..1000).to_vec::<i32>()?;
        let pick = |of: &[&'static str], i: usize| of[random[i] as usize % of.len()];
        let (is_praise, is_negated) = (random[0] % 2 == 0, random[4] % 4 == 0);
        let word = if is_praise { pick(&praise, 1) } else { pick(&blame, 1) };
        let not = if is_negated { "not " } else { "" };
        let label = if is_praise != is_negated { "good" } else { "bad" };
        let line = format!("The {} was {not}{word}. {}", pick(&things, 2), pick(&ends, 3));
        // Writing to a String cannot fail.
        let _ = writeln!(text, r#"{{"text": "{}", "label": "{label}"}}"#, line.trim());
    }
    Ok(std::fs::write(path, text)?)
}

/// Runs the example on the file behind `--data`, or on a generated one.
pub fn main() -> Result<()> {
    let questions = ["The cast was brilliant.", "The plot was not good.", "The music was not bad."];
    if let Some(file) = arguments::<TextArguments>().data {
        println!("accuracy on other texts: {:.3}", accuracy(&file, &questions)?);
        return Ok(());
    }
    let name = format!("neurax-example-reviews-{}.jsonl", std::process::id());
    let file = std::env::temp_dir().join(name);
    write_reviews(&file, 1500)?;
    println!("accuracy on other texts: {:.3}", accuracy(&file, &questions)?);
    Ok(std::fs::remove_file(file)?)
}
