//! The list of the examples.

#[cfg(feature = "images")]
use crate::image_folder;
use crate::{
    adding, by_hand, conv_digits, credit, csv, custom_layer, custom_loop, digits, fine_tune,
    fraud_csv, fraud_service, gan, gpt, k_fold, loops, mnist_cnn, recorded, resume, serving,
    siamese, tensors, text_classification, training_step, transforms, two_heads, vae,
};
use neurax::Stages;
use neurax::prelude::*;

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
        name: "fraud_service",
        about: "a web service: HTTP by hand, a thread for each connection, shared batches",
        run: fraud_service::main,
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
        name: "recorded",
        about: "a training to look at: a run directory for reports, and TensorBoard",
        run: recorded::in_temporary_directory,
        stages: || {
            let model = recorded::model();
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
        name: "mnist_cnn",
        about: "MNIST from its files: validation, early stopping, checkpoints, test accuracy",
        run: mnist_cnn::main,
        stages: || {
            let model = mnist_cnn::model();
            let vars = model.init(key(0), &types![f32[_, 28, 28]])?;
            jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval))
                .stages(&Tensor::zeros([8, 28, 28]), true)
        },
    },
    #[cfg(feature = "images")]
    ExampleProgram {
        name: "image_folder",
        about: "folders of PNG images: augmentation on threads, a schedule with warm-up",
        run: image_folder::main,
        stages: || {
            let model = image_folder::model(3);
            let vars = model.init(key(0), &types![f32[_, 3, 32, 32]])?;
            jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval))
                .stages(&Tensor::zeros([8, 3, 32, 32]), true)
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
        name: "fraud_csv",
        about: "fraud in a CSV file with empty cells and categories, a sampler for the rare class, \
                a folder with the model and its preparation",
        run: fraud_csv::main,
        stages: || {
            let model = fraud_csv::model(8);
            let vars = model.init(key(0), &types![f32[_, 3], i32[_]])?;
            jit(move |x: fraud_csv::Payments| model.apply(&vars, x, &Mode::Eval))
                .stages(&(Tensor::zeros([4, 3]), Tensor::zeros([4]).to(I32)), true)
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
        name: "custom_loop",
        about: "contrastive learning by a step of your own, by hand and by the trainer",
        run: custom_loop::main,
        stages: || {
            let batch = custom_loop::Images { x: Tensor::zeros([128, 64]), y: () };
            let step = |(encoder, batch, key): (custom_loop::Encoder, custom_loop::Images, Key)| {
                custom_loop::step(encoder, &batch, key)
            };
            jit(step).stages(&(custom_loop::start()?, batch, key(2)), true)
        },
    },
    ExampleProgram {
        name: "k_fold",
        about: "cross-validation: the mean and the deviation of an accuracy",
        run: k_fold::main,
        stages: || {
            let model = k_fold::model();
            let vars = model.init(key(0), &types![f32[_, 4]])?;
            let apply = jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval));
            apply.stages(&Tensor::zeros([16, 4]), true)
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
            let rules = gan::Rules::new(1);
            let start = (rules.start()?, gan::Points { x: Tensor::zeros([128, 2]), y: () }, key(2));
            let step = move |(game, batch, key): (gan::Game, gan::Points, Key)| {
                rules.step(game, &batch, key)
            };
            jit(step).stages(&start, true)
        },
    },
    ExampleProgram {
        name: "text_classification",
        about: "texts to tokens, an embedding, attention and a mean that leave padding out",
        run: text_classification::main,
        stages: || {
            let model = text_classification::model(2);
            let vars = model.init(key(0), &types![i32[_, 24]])?;
            let apply = jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval));
            apply.stages(&Tensor::zeros([8, 24]).to(I32), true)
        },
    },
    ExampleProgram {
        name: "gpt",
        about: "a small GPT that learns a text file and writes with a cache, temperature and top-k",
        run: gpt::main,
        stages: || {
            let model = gpt::model(256, None);
            let vars = model.init(key(0), &types![i32[_, _]])?;
            let apply = jit(move |x: Tensor| model.apply(&vars, x, &Mode::Eval));
            apply.stages(&Tensor::zeros([1, 8]).to(I32), true)
        },
    },
];
