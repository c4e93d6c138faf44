//! Tests of the results that the examples promise.

use super::*;
use neurax::prelude::*;

#[test]
fn all_examples_run() {
    for e in EXAMPLES {
        (e.run)().unwrap_or_else(|error| panic!("{}: {error}", e.name));
    }
}

#[test]
fn fine_tuned_networks_learn_their_tasks() {
    let digits = data::digits().unwrap().split(0.8, key(0));
    let base = fine_tune::pretrained(&digits.train).unwrap();
    let parity = fine_tune::with_frozen_base(&base, &digits).unwrap();
    assert!(parity > 0.9, "{parity}");
    let (before, after) = fine_tune::with_lora(&base, &digits).unwrap();
    assert!(before < 0.5 && after > 0.85, "{before} {after}");
}

#[test]
fn class_weights_find_more_of_the_rare_class() {
    let [(plain, _), (weighted, report)] = [1.0, 6.0].map(|w| credit::train(w).unwrap());
    // The labels are drawn from the risks, so that no model reaches 1.
    assert!(plain["roc_auc"] > 0.82 && weighted["roc_auc"] > 0.82, "{plain}\n{weighted}");
    assert!(weighted["recall"] > plain["recall"] + 0.2, "{plain}\n{weighted}");
    // Lower incomes in the country: more of its applicants are refused.
    let [city, country] = [0, 1].map(|i| report.selection_rates[i]);
    assert!(city.high < country.low, "{report}");
    assert!(report.demographic_parity_difference.low > 0.05, "{report}");
}

#[test]
fn all_examples_can_be_inspected() {
    for e in EXAMPLES {
        let stages = (e.stages)().unwrap_or_else(|error| panic!("{}: {error}", e.name));
        assert!(stages.list().iter().all(|s| s.text.is_some()), "{}", e.name);
    }
}

// A guess by the frequencies of the tokens costs their entropy.
#[test]
fn the_gpt_learns_and_writes_as_its_full_pass_predicts() {
    let text = gpt::pages().unwrap();
    let tokens = gpt::Tokens::learn(&text).unwrap();
    let ids = tokens.ids(&text).unwrap();
    assert!(text.len() > 100_000, "the pages of the repository, {} bytes", text.len());
    assert_eq!(tokens.text(&ids).unwrap(), text);
    let entropy: f64 = (0..tokens.count as i32)
        .map(|token| ids.iter().filter(|&&id| id == token).count() as f64 / ids.len() as f64)
        .map(|p| if p > 0.0 { -p * p.ln() } else { 0.0 })
        .sum();
    let (params, loss) = gpt::train(ids, tokens.count, gpt::STEPS).unwrap();
    let most = if cfg!(feature = "tokenizers") { entropy - 0.4 } else { 2.6 };
    assert!(loss < most && entropy > 3.0, "{loss} {entropy}");
    // The most probable next token, with the cache and by the full pass. Of one token, the
    // temperature does not matter.
    let (prompt, count) = ("The ", 12);
    let sampling = gpt::Sampling { temperature: 5.0, top_k: 1 };
    let written = gpt::write(&params, &tokens, prompt, count, sampling).unwrap();
    let mut ids = tokens.ids(prompt).unwrap();
    let start = ids.len();
    for _ in 0..count {
        let x = Tensor::from_vec(ids.clone(), [1, ids.len()]);
        let model = gpt::model(tokens.count, None);
        let out = model.apply_with(&params, &Params::new(), x, &Mode::Eval);
        ids.push(out.y().index((0, -1)).argmax(-1).item().unwrap() as i32);
    }
    assert_eq!(tokens.text(&ids[start..]).unwrap(), written);
}

#[test]
fn only_the_most_probable_tokens_are_drawn_and_rare_ones_with_high_temperature() {
    let logits = tensor([[0.0, 3.0, 1.0, 2.0]]).repeat(2000, 0);
    let share = |temperature, top_k| {
        let drawn = gpt::Sampling { temperature, top_k }.draw(&key(0), &logits);
        drawn.one_hot(4).reshape([2000, 4]).to(F32).mean(0).to_vec::<f32>().unwrap()
    };
    let [cold, warm] = [share(0.5, 2), share(2.0, 2)];
    assert_eq!((cold[0], cold[2], warm[0], warm[2]), (0.0, 0.0, 0.0, 0.0));
    // The odds of the two best are exp(1 / temperature).
    let close = |got: f32, want: f32| (got - want).abs() < 0.04;
    assert!(close(cold[1], 0.881) && close(warm[1], 0.622), "{cold:?} {warm:?}");
    assert!(share(1.0, 4)[0] > 0.0);
    // The most probable one only, of any number.
    assert_eq!(share(0.0, 3), [0.0, 1.0, 0.0, 0.0]);
}

fn folder(name: &str) -> std::path::PathBuf {
    let name = format!("neurax-examples-{}-{name}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn a_network_learns_from_files_of_mnist_and_continues_a_run() {
    let folder = folder("mnist");
    mnist_cnn::write_files(&folder).unwrap();
    let run = folder.join("run");
    let accuracy = mnist_cnn::accuracy(&folder, &run).unwrap();
    assert!(accuracy > 0.95, "{accuracy}");
    assert!(State::load(run.join("best")).unwrap().validation["accuracy"] > 0.9);
    std::fs::remove_dir_all(folder).unwrap();
}

// The labels are drawn from the risks, so that no model reaches 1.
#[test]
fn fraud_is_found_and_the_saved_preparation_fills_gaps() {
    let folder = folder("fraud");
    let file = folder.join("payments.csv");
    fraud_csv::write_file(&file, 4000).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let share = text.lines().filter(|line| line.ends_with(",1")).count() as f64 / 4000.0;
    assert!(share > 0.01 && share < 0.1 && text.contains(",,"), "{share}");
    let area = fraud_csv::roc_auc(&file, &folder.join("model")).unwrap();
    assert!(area > 0.9, "{area}");
    let score = |numbers, country| fraud_csv::score(&folder.join("model"), numbers, country);
    let [usual, strange] =
        [score([30.0, 14.0, 700.0], "DE"), score([380.0, 3.0, 2.0], "LU")].map(Result::unwrap);
    assert!(usual < 0.2 && strange > 0.8, "{usual} {strange}");
    let gaps = score([f32::NAN, f32::NAN, f32::NAN], "nowhere").unwrap();
    assert!((0.0..=1.0).contains(&gaps), "{gaps}");
    assert_eq!(fraud_csv::model_folder(&file), folder.join("payments-model"));
    std::fs::remove_dir_all(folder).unwrap();
}

// Of single words alone, three quarters are right: a quarter of the texts negates its word.
#[test]
fn texts_are_classified_by_more_than_single_words() {
    let folder = folder("texts");
    let file = folder.join("reviews.jsonl");
    text_classification::write_reviews(&file, 1500).unwrap();
    let accuracy = text_classification::accuracy(&file, &["The film was not bad."]).unwrap();
    assert!(accuracy > 0.95, "{accuracy}");
    std::fs::write(&file, "{\"text\": \"a\", \"label\": \"b\"}\n{\"text\": \"a\"}\n").unwrap();
    let error =
        text_classification::accuracy(&file, &["The film was not bad."]).unwrap_err().to_string();
    assert!(error.contains("reviews.jsonl: line 2: column 13: missing field `label`"), "{error}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn the_fraud_service_answers_orders_and_refuses_what_is_none() {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    let folder = folder("fraud-service");
    let file = folder.join("fraud.onnx");
    fraud_service::write_model(&file).unwrap();
    let server = fraud_service::start(&file).unwrap();
    let want = onnx::predictor(&file).unwrap().run(Tensor::full([1, 30], 0.5)).unwrap();
    let want = want.item().unwrap();
    let order = |x: &str, count: usize| format!("[{}]", vec![x; count].join(", "));
    let bodies = [order("0.5", 30), order("0.5", 29), order("x", 30), "{}".to_string()];
    let raw = ["GET / HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "POST /score HTTP/1.1\r\n\r\n"];
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let replies = std::thread::scope(|scope| {
        let connections = Some(bodies.len() + raw.len());
        let service = scope.spawn(move || fraud_service::serve(&listener, &server, connections));
        let post = |body: &String| fraud_service::post(address, body).unwrap();
        let mut replies: Vec<String> = bodies.iter().map(post).collect();
        for text in raw {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(text.as_bytes()).unwrap();
            let mut reply = String::new();
            connection.read_to_string(&mut reply).unwrap();
            replies.push(reply);
        }
        service.join().unwrap().unwrap();
        replies
    });
    let status = |i: usize| replies[i].split(' ').nth(1).unwrap_or_default();
    let all: Vec<&str> = (0..replies.len()).map(status).collect();
    assert_eq!(all, ["200", "400", "400", "400", "404", "400"], "{replies:?}");
    let got: f64 =
        replies[0].split("\"fraud\": ").nth(1).unwrap().trim_end_matches('}').parse().unwrap();
    assert!((got - want).abs() < 1e-6, "{got} {want}");
    assert!(replies[1].ends_with("expected 30 numbers, got 29"), "{}", replies[1]);
    std::fs::remove_dir_all(folder).unwrap();
}

#[cfg(feature = "images")]
#[test]
fn shapes_in_folders_of_images_are_told_apart() {
    let folder = folder("images");
    image_folder::write_images(&folder, 120).unwrap();
    let accuracy = image_folder::accuracy(&folder, 10).unwrap();
    assert!(accuracy > 0.9, "{accuracy}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_convolutional_network_reads_digits() {
    let accuracy = conv_digits::accuracy().unwrap();
    assert!(accuracy >= 0.985, "{accuracy}");
}

// Against which the loss and the drawn images of the autoencoder are compared: the mean of all
// images, which is what a decoder draws that ignores the codes, and images whose pixels are
// those of different digits.
#[test]
fn the_autoencoder_draws_digits() {
    let digits = data::digits().unwrap().split(0.8, key(0));
    let trained = vae::train(&digits).unwrap();
    let images = &digits.train.x;
    let mean = images.mean(0);
    let blurred = loss::each::binary_cross_entropy(&mean, &mean).sum(..).item().unwrap();
    let scores = &trained.validation;
    assert!(scores["loss"] < blurred - 3.0 && scores["divergence"] > 1.0, "{scores} {blurred}");

    let pixels = images.unstack(1).into_iter().enumerate();
    let mixed = pixels.map(|(i, x)| key(9).fold_in(i).shuffle(&x, 0)).collect::<Vec<_>>();
    let mixed = stack(mixed, 1).slice(0, ..100);
    let drawn = vae::draw(&trained, 100, key(3)).unwrap();
    let [drawn, mean, mixed] = [drawn, mean.expand_dims(0), mixed].map(|x| {
        let difference = x.expand_dims(1) - images.expand_dims(0);
        difference.square().sum(-1).sqrt().min(-1).mean(..).item().unwrap()
    });
    assert!(drawn < 0.85 * mean && mean < mixed, "{drawn} {mean} {mixed}");
}

// The mean, the standard deviations and the covariance. At the start, the mean is off by 2.
#[test]
fn the_adversarial_network_finds_the_distribution() {
    let params = gan::train(40).unwrap();
    let [made, real] = [gan::made(&params, 4000, &key(3)), gan::real(4000, &key(4))];
    let moments = |x: &Tensor| {
        let covariance = x.transpose().matmul(x) / 4000.0 - x.mean(0).outer(x.mean(0));
        concat([x.mean(0), x.std(0, 0), covariance.index((0, 1)).expand_dims(0)], 0)
    };
    let error = (moments(&made) - moments(&real)).abs();
    assert!(error.max(..).item().unwrap() < 0.15, "{error}");
}

#[test]
fn contrastive_codes_tell_digits_apart_and_both_loops_are_equal() {
    let (digits, images) = custom_loop::data().unwrap();
    let start = custom_loop::start().unwrap().params;
    let hand = custom_loop::by_hand(&images, 10).unwrap();
    let trainer = custom_loop::by_trainer(&images, 10).unwrap();
    let bits = |p: &Params| neurax::io::serialize(p).unwrap();
    assert!(bits(&hand) == bits(&trainer));
    let [before, after] = [&start, &hand].map(|p| custom_loop::accuracy(p, &digits).unwrap());
    assert!(after > 0.9 && after > before, "{before} {after}");
}

#[test]
fn cross_validation_measures_the_accuracy_of_unseen_flowers() {
    let result = k_fold::validate(5).unwrap();
    assert!(result.mean["accuracy"] > 0.9, "{result}");
    assert!(result.deviation["accuracy"] < 0.1, "{result}");
}

// The programs end with these errors.
#[test]
fn arguments_have_a_usage_and_others_are_refused() {
    use clap::Parser;
    use clap::error::ErrorKind;
    let refused = |line: &str, error: Option<clap::Error>, kind, why: &str| {
        let error = error.unwrap_or_else(|| panic!("{line}: accepted"));
        assert_eq!(error.kind(), kind, "{line}: {error}");
        assert!(error.to_string().contains(why), "{line}: {error}");
    };
    let run = |line: &str| resume::ResumeArguments::try_parse_from(line.split(' '));
    refused("help", run("resume --help").err(), ErrorKind::DisplayHelp, "[DIRECTORY] [EPOCHS]");
    let why = "'abc' for '[EPOCHS]': expected a whole number of at least 1";
    refused("resume", run("resume run abc").err(), ErrorKind::ValueValidation, why);
    assert_eq!(run("resume run 3").map(|a| a.epochs).ok(), Some(3));
    let record = |line: &str| recorded::RecordedArguments::try_parse_from(line.split(' '));
    refused("recorded", record("recorded run 0").err(), ErrorKind::ValueValidation, "at least 1");
    let mnist = mnist_cnn::MnistArguments::try_parse_from(["mnist_cnn", "--dat", "nope"]);
    refused("mnist", mnist.err(), ErrorKind::UnknownArgument, "'--dat'");
    let gpt = |line: &str| gpt::GptArguments::try_parse_from(line.split(' '));
    for (line, why) in [
        ("gpt --steps 0", "at least 1"),
        ("gpt --temperature -1", "'-1' for '--temperature <TEMPERATURE>': expected a number of"),
        ("gpt --temperature nan", "expected a number of at least 0"),
        ("gpt --top-k 0", "at least 1"),
    ] {
        refused(line, gpt(line).err(), ErrorKind::ValueValidation, why);
    }
    refused("gpt --step 3", gpt("gpt --step 3").err(), ErrorKind::UnknownArgument, "'--step'");
}

// The rate of a training must not depend on the number of epochs that are asked for.
#[test]
fn a_training_with_more_epochs_continues_the_same_training() {
    let folder = folder("more-epochs");
    let train = |name: &str, count| resume::train_in(&folder.join(name), count).unwrap();
    train("continued", 1);
    let [continued, whole] = [train("continued", 2), train("whole", 2)];
    // `EarlyStopping` of both ends with the best state.
    assert_eq!(resume::hash(&continued.state).unwrap(), resume::hash(&whole.state).unwrap());
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn every_file_is_an_example() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let needs_feature = name == "image_folder" && !cfg!(feature = "images");
        let is_listed = EXAMPLES.iter().any(|e| e.name == name);
        assert!(is_listed || needs_feature, "{name} is not in EXAMPLES");
    }
}
