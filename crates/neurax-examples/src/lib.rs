//! Example programs, which are also the manual. Each file of `examples/` is a program, run with
//! `cargo run --example NAME`.
//!
//! [`EXAMPLES`] lists them from simple to complex: start with [`tensors`]. `neurax inspect NAME`
//! shows how the main function of an example is compiled.

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

// The examples, which are modules here and programs elsewhere, name this crate in both.
extern crate self as neurax_examples;

mod arguments;
mod programs;

pub use arguments::{arguments, non_negative, positive};
pub use programs::{EXAMPLES, ExampleProgram};

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
#[path = "../examples/custom_loop.rs"]
pub mod custom_loop;
#[path = "../examples/digits.rs"]
pub mod digits;
#[path = "../examples/fine_tune.rs"]
pub mod fine_tune;
#[path = "../examples/fraud_csv.rs"]
pub mod fraud_csv;
#[path = "../examples/fraud_service.rs"]
pub mod fraud_service;
#[path = "../examples/gan.rs"]
pub mod gan;
#[path = "../examples/gpt.rs"]
pub mod gpt;
#[cfg(feature = "images")]
#[path = "../examples/image_folder.rs"]
pub mod image_folder;
#[path = "../examples/k_fold.rs"]
pub mod k_fold;
#[path = "../examples/loops.rs"]
pub mod loops;
#[path = "../examples/mnist_cnn.rs"]
pub mod mnist_cnn;
#[path = "../examples/recorded.rs"]
pub mod recorded;
#[path = "../examples/resume.rs"]
pub mod resume;
#[path = "../examples/serving.rs"]
pub mod serving;
#[path = "../examples/siamese.rs"]
pub mod siamese;
#[path = "../examples/tensors.rs"]
pub mod tensors;
#[path = "../examples/text_classification.rs"]
pub mod text_classification;
#[path = "../examples/training_step.rs"]
pub mod training_step;
#[path = "../examples/transforms.rs"]
pub mod transforms;
#[path = "../examples/two_heads.rs"]
pub mod two_heads;
#[path = "../examples/vae.rs"]
pub mod vae;

#[cfg(test)]
mod tests;
