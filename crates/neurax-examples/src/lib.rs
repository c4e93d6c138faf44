//! Example programs, which are also the manual. Each file of `examples/` is a program, run with
//! `cargo run --example NAME`.
//!
//! [`EXAMPLES`] lists them from simple to complex: start with [`tensors`]. `neurax inspect NAME`
//! shows how the main function of an example is compiled.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

use neurax::Stages;
use neurax::prelude::*;

#[path = "../examples/adding.rs"]
pub mod adding;
#[path = "../examples/by_hand.rs"]
pub mod by_hand;
#[path = "../examples/conv_digits.rs"]
pub mod conv_digits;
#[path = "../examples/credit.rs"]
pub mod credit;
#[path = "../examples/csv.rs"]
pub mod csv;
#[path = "../examples/custom_layer.rs"]
pub mod custom_layer;
#[path = "../examples/digits.rs"]
pub mod digits;
#[path = "../examples/fine_tune.rs"]
pub mod fine_tune;
#[path = "../examples/gan.rs"]
pub mod gan;
#[path = "../examples/gpt.rs"]
pub mod gpt;
#[path = "../examples/loops.rs"]
pub mod loops;
#[path = "../examples/resume.rs"]
pub mod resume;
#[path = "../examples/serving.rs"]
pub mod serving;
#[path = "../examples/siamese.rs"]
pub mod siamese;
#[path = "../examples/tensors.rs"]
pub mod tensors;
#[path = "../examples/training_step.rs"]
pub mod training_step;
#[path = "../examples/transforms.rs"]
pub mod transforms;
#[path = "../examples/two_heads.rs"]
pub mod two_heads;
#[path = "../examples/vae.rs"]
pub mod vae;

/// An example program.
pub struct ExampleProgram {
    /// The name of its file in `examples/`, without the extension.
    pub name: &'static str,
    /// A phrase that says what the example shows.
    pub about: &'static str,
    /// The function that runs the program, which prints.
    pub run: fn() -> Result<()>,
    /// The function that compiles its main function and returns all stages with their graphs.
    pub stages: fn() -> Result<Stages>,
}

/// All programs, from simple to complex.
pub const EXAMPLES: &[ExampleProgram] = &[
    ExampleProgram {
        name: "tensors",
        about: "tensors, errors that travel, a compiled gradient",
        run: tensors::main,
        stages: || jit(tensors::slope()).stages(&Tensor::eye(2), true),
    },
    ExampleProgram {
        name: "training_step",
        about: "a struct of parameters, updated in place, saved and loaded",
        run: training_step::main,
        stages: || {
            training_step::step().stages(
                &(training_step::start(), Tensor::zeros([16, 2]), Tensor::zeros([16, 1])),
                true,
            )
        },
    },
    ExampleProgram {
        name: "serving",
        about: "a model in a service: one row without allocations, many callers in batches",
        run: serving::main,
        stages: || {
            let net = serving::net()?;
            jit(move |x: Tensor| net.model.apply(&net.vars, x, &Mode::Eval).y().clone())
                .stages(&Tensor::zeros([1, 30]), true)
        },
    },
    ExampleProgram {
        name: "transforms",
        about: "derivatives and batching, composed",
        run: transforms::main,
        stages: || transforms::second().stages(&tensor([[1.0, 2.0], [3.0, 4.0]]), true),
    },
    ExampleProgram {
        name: "loops",
        about: "scan, while, cond and for in the graph",
        run: loops::main,
        stages: || jit(grad(loops::fall)).stages(&tensor(0.01), true),
    },
    ExampleProgram {
        name: "digits",
        about: "a network that classifies handwritten digits",
        run: digits::main,
        stages: || digits::apply()?.stages(&Tensor::zeros([32, 64]), true),
    },
    ExampleProgram {
        name: "resume",
        about: "a training that is killed and continues as if nothing had happened",
        run: resume::interrupted,
        stages: || {
            let model = resume::model();
            let vars = model.init(key(0), &types![f32[_, 64]])?;
            let apply = jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval));
            apply.stages(&Tensor::zeros([32, 64]), true)
        },
    },
    ExampleProgram {
        name: "fine_tune",
        about: "a new head on a frozen base, and adapters of low rank (LoRA)",
        run: fine_tune::main,
        stages: || {
            let base = fine_tune::model().init(key(0), &types![f32[_, 64]])?;
            let vars = nn::lora::wrap(&base, "**.kernel", &nn::Lora::new(4), key(1))?;
            jit(move |x: Tensor| fine_tune::model().apply(&vars, x, &Mode::Eval).y().clone())
                .stages(&Tensor::zeros([32, 64]), true)
        },
    },
    ExampleProgram {
        name: "conv_digits",
        about: "a convolutional network that classifies handwritten digits",
        run: conv_digits::main,
        stages: || {
            let model = conv_digits::model();
            let vars = model.init(key(0), &types![f32[_, 64]])?;
            jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval))
                .stages(&Tensor::zeros([32, 64]), true)
        },
    },
    ExampleProgram {
        name: "csv",
        about: "a table from a CSV file",
        run: csv::main,
        stages: || {
            let model = csv::model();
            let vars = model.init(key(0), &types![f32[_, 2]])?;
            jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval))
                .stages(&Tensor::zeros([4, 2]), true)
        },
    },
    ExampleProgram {
        name: "credit",
        about: "a rare class: class weights, AUC and a fairness report",
        run: credit::main,
        stages: || {
            let model = credit::model().model();
            let vars = model.init(key(0), &types![f32[_, 3]])?;
            jit(move |x: Tensor| credit::risk(model.apply(&vars, x, &Mode::Eval).y()))
                .stages(&Tensor::zeros([4, 3]), true)
        },
    },
    ExampleProgram {
        name: "custom_layer",
        about: "custom layers, with state",
        run: custom_layer::main,
        stages: || {
            let model = custom_layer::model();
            let vars = model.init(key(0), &types![f32[_, 4]])?;
            let apply = jit(move |x: Tensor| model.apply(&vars, x, &Mode::Train(key(1))));
            apply.stages(&Tensor::zeros([2, 4]), true)
        },
    },
    ExampleProgram {
        name: "two_heads",
        about: "two inputs, two outputs, a loss of both outputs",
        run: two_heads::main,
        stages: || {
            let model = two_heads::model();
            let x = two_heads::fruit(4, key(0))?.x;
            let vars = model.init(key(0), &types![f32[_, 2], f32[_, 3]])?;
            jit(move |x: two_heads::Features| model.apply(&vars, x, &Mode::Eval)).stages(&x, true)
        },
    },
    ExampleProgram {
        name: "siamese",
        about: "a network of two towers with shared weights, and the distance of images",
        run: siamese::main,
        stages: || {
            let model = siamese::model();
            let x = siamese::pairs(&data::digits()?, key(0))?.x;
            let vars = model.init(key(0), &types![f32[_, 64], f32[_, 64]])?;
            jit(move |x: siamese::Images| model.apply(&vars, x, &Mode::Eval)).stages(&x, true)
        },
    },
    ExampleProgram {
        name: "adding",
        about: "a recurrent network that adds numbers of a sequence",
        run: adding::main,
        stages: || {
            let model = adding::model();
            let vars = model.init(key(0), &types![f32[_, 50, 2]])?;
            jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval))
                .stages(&Tensor::zeros([16, 50, 2]), true)
        },
    },
    ExampleProgram {
        name: "by_hand",
        about: "a training loop without the trainer",
        run: by_hand::main,
        stages: || {
            let (start, step) = by_hand::program()?;
            let batch = data::Batch { x: Tensor::zeros([24, 4]), y: Tensor::zeros([24, 3]) };
            step.stages(&(start, batch), true)
        },
    },
    ExampleProgram {
        name: "vae",
        about: "a variational autoencoder that draws handwritten digits",
        run: vae::main,
        stages: || {
            let model = vae::model();
            let vars = model.init(key(0), &types![f32[_, 64]])?;
            jit(move |x: Tensor| model.apply(&vars, x, &Mode::Train(key(1))))
                .stages(&Tensor::zeros([32, 64]), true)
        },
    },
    ExampleProgram {
        name: "gan",
        about: "two networks with an optimizer each, trained against each other",
        run: gan::main,
        stages: || {
            let (start, step) = gan::program(1)?;
            step.stages(&start, true)
        },
    },
    ExampleProgram {
        name: "gpt",
        about: "a small GPT that learns the pages of the repository, and writes with a cache",
        run: gpt::main,
        stages: || {
            let model = gpt::model(None);
            let vars = model.init(key(0), &types![i32[_, _]])?;
            let apply = jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval));
            apply.stages(&Tensor::zeros([1, 8]).to(I32), true)
        },
    },
];

#[cfg(test)]
mod tests {
    use super::*;

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

    // A guess by the frequencies of the characters costs their entropy.
    #[test]
    fn the_gpt_learns_and_writes_as_its_full_pass_predicts() {
        let codes = gpt::codes(&gpt::text().unwrap());
        assert!(codes.len() > 100_000, "the pages of the repository, {} characters", codes.len());
        let entropy: f64 = (0..128)
            .map(|code| codes.iter().filter(|&&c| c == code).count() as f64 / codes.len() as f64)
            .map(|p| if p > 0.0 { -p * p.ln() } else { 0.0 })
            .sum();
        let (params, loss) = gpt::train(gpt::STEPS).unwrap();
        assert!(loss < 2.6 && entropy > 3.0, "{loss} {entropy}");
        // The most probable next character, with the cache and by the full pass.
        let (prompt, count) = ("The ", 12);
        let written = gpt::write(&params, prompt, count, 1e-3).unwrap();
        let mut text = prompt.to_string();
        for _ in 0..count {
            let codes = gpt::codes(&text);
            let x = Tensor::from_vec(codes.clone(), [1, codes.len()]);
            let out = gpt::model(None).apply_with(&params, &Params::new(), x, &Mode::Eval);
            let best = out.y().index((0, -1)).argmax(-1).item().unwrap();
            text.push(best as u8 as char);
        }
        assert_eq!(text, format!("{prompt}{written}"));
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
        let params = gan::train(4000).unwrap();
        let [made, real] = [gan::made(&params, 4000, &key(3)), gan::real(4000, &key(4))];
        let moments = |x: &Tensor| {
            let covariance = x.transpose().matmul(x) / 4000.0 - x.mean(0).outer(x.mean(0));
            concat([x.mean(0), x.std(0, 0), covariance.index((0, 1)).expand_dims(0)], 0)
        };
        let error = (moments(&made) - moments(&real)).abs();
        assert!(error.max(..).item().unwrap() < 0.15, "{error}");
    }

    #[test]
    fn every_file_is_an_example() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/examples");
        for file in std::fs::read_dir(folder).unwrap() {
            let path = file.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            assert!(EXAMPLES.iter().any(|e| e.name == name), "{name} is not in EXAMPLES");
        }
    }
}
