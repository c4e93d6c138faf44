//! Tokenizers of files, and those that are trained.

use super::*;
use std::path::PathBuf;

fn file(name: &str, text: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("neurax-tok-{}-{name}", std::process::id()));
    std::fs::write(&path, text).unwrap();
    path
}

/// A tokenizer of words with special tokens around a text, as BERT has them.
const WORDS: &str = r#"{
    "version": "1.0", "truncation": null, "normalizer": null, "decoder": null,
    "padding": {"strategy": "BatchLongest", "direction": "Right", "pad_to_multiple_of": null,
                "pad_id": 3, "pad_type_id": 0, "pad_token": "none"},
    "added_tokens": [
        {"id": 1, "content": "[CLS]", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true},
        {"id": 2, "content": "[SEP]", "single_word": false, "lstrip": false, "rstrip": false,
         "normalized": false, "special": true}],
    "pre_tokenizer": {"type": "Whitespace"},
    "post_processor": {"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}},
                   {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
        "special_tokens": {
            "[CLS]": {"id": "[CLS]", "ids": [1], "tokens": ["[CLS]"]},
            "[SEP]": {"id": "[SEP]", "ids": [2], "tokens": ["[SEP]"]}}},
    "model": {"type": "WordLevel", "unk_token": "none",
        "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "none": 3, "a": 4, "b": 5, "c": 6}}
}"#;

#[test]
fn special_tokens_of_a_file_stay_when_texts_are_shortened() {
    let tokens = TextTokenizer::load(file("words", WORDS)).unwrap();
    assert_eq!((tokens.len(), tokens.padding()), (7, 3));
    assert_eq!(tokens.ids("a b c").unwrap(), [4, 5, 6]);
    let batch = tokens.encode(["a b c", "c", ""], 4).unwrap();
    let want = [1, 4, 5, 2, 1, 6, 2, 3, 1, 2, 3, 3];
    assert_eq!(batch.ids.to_vec::<i32>().unwrap(), want);
    let lengths = batch.mask.to(neurax_tensor::DType::I32).sum(-1).to_vec::<i32>().unwrap();
    assert_eq!(lengths, [4, 3, 2]);
    let error = tokens.encode(["a"], 1).unwrap_err().to_string();
    assert!(error.contains("expected a length of at least 2 special tokens, got 1"), "{error}");
    assert_eq!(tokens.encode(["a"], 2).unwrap().ids.to_vec::<i32>().unwrap(), [1, 2]);
}

#[test]
fn every_text_has_tokens_that_are_the_text() {
    let lines = ["the quick brown fox", "the lazy dog", "the the the"];
    let tokens = TextTokenizer::train(lines, 300, &["<end>"]).unwrap();
    let again = TextTokenizer::train(lines, 300, &["<end>"]).unwrap();
    for text in ["the fox", "  Größe\t\n", "日本 🦀", "<end", ""] {
        assert_eq!(tokens.text(&tokens.ids(text).unwrap()).unwrap(), text);
        assert_eq!(tokens.ids(text).unwrap(), again.ids(text).unwrap());
    }
    assert_eq!(tokens.ids("the").unwrap().len(), 1);
    assert_eq!(tokens.ids("a<end>b").unwrap()[1], 1);
    assert_eq!(tokens.text(&[1, 0]).unwrap(), "");
    assert_eq!(
        tokens.decode(&Tensor::zeros([2, 0]).to(neurax_tensor::DType::I32)).unwrap().len(),
        2
    );
}

#[test]
fn mistakes_are_errors() {
    let error = |r: Result<TextTokenizer>| r.unwrap_err().to_string();
    let few = error(TextTokenizer::train(["a"], 257, &["<end>"]));
    assert!(few.contains("at least 258 tokens") && few.contains("got 257"), "{few}");
    assert!(error(TextTokenizer::train(["a"], 300, &["<e>", "<e>"])).contains("got `<e>`"));
    assert!(error(TextTokenizer::train(["a"], 300, &["<pad>"])).contains("got `<pad>`"));
    let text = error(TextTokenizer::load(file("text", "no tokenizer")));
    assert!(text.contains("-text: expected a tokenizer, got "), "{text}");
    let missing = error(TextTokenizer::load("/nowhere/tokenizer.json"));
    assert!(missing.contains("/nowhere/tokenizer.json"), "{missing}");
    let tokens = TextTokenizer::train(["a"], 300, &[]).unwrap();
    let last = tokens.len() as i32 - 1;
    assert!(tokens.text(&[last]).is_ok());
    for id in [-1, last + 1, i32::MAX] {
        let error = tokens.text(&[id]).unwrap_err().to_string();
        let want = format!("expected ids of tokens, from 0 to {last}, got {id}");
        assert!(error.ends_with(&want), "{error}");
    }
    assert!(tokens.decode(&Tensor::zeros([2])).is_err());
}

#[test]
fn the_length_is_that_of_an_embedding_of_all_ids() {
    let holes = WORDS.replace(r#""c": 6}"#, r#""c": 9}"#);
    let tokens = TextTokenizer::load(file("holes", &holes)).unwrap();
    assert_eq!((tokens.len(), tokens.ids("c").unwrap()), (10, vec![9]));
    assert!(tokens.text(&[9]).is_ok() && tokens.text(&[3]).is_ok());
    let error = tokens.text(&[7]).unwrap_err().to_string();
    assert!(error.ends_with("from 0 to 9, got 7"), "{error}");
    let error = tokens.encode(["c"], usize::MAX).unwrap_err().to_string();
    assert!(error.contains("not enough memory for text 0"), "{error}");
}

#[test]
fn a_vocabulary_may_be_larger_than_the_texts_fill() {
    let tokens = TextTokenizer::train(["abab abab"], usize::MAX, &["<end>"]).unwrap();
    let enough = TextTokenizer::train(["abab abab"], 5000, &["<end>"]).unwrap();
    assert_eq!(tokens.len(), enough.len());
    assert_eq!(tokens.ids("abab").unwrap(), enough.ids("abab").unwrap());
}

#[test]
fn damaged_files_are_errors_or_tokenizers() {
    for i in (0..WORDS.len()).step_by(7) {
        let damaged = format!("{}{}", &WORDS[..i], &WORDS[(i + 3).min(WORDS.len())..]);
        if let Ok(tokens) = TextTokenizer::load(file("damaged", &damaged)) {
            // Whatever the file says, these do not panic.
            let _ = tokens.encode(["a b", ""], 5).map(|batch| tokens.decode(&batch.ids));
        }
    }
}
