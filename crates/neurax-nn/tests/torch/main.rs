//! Layers, losses and metrics, compared with cases that the scripts in `record/` recorded from
//! PyTorch and others, one module for each family.

mod activations;
mod attention;
mod cases;
mod checkpoints;
mod indexed;
mod initializers;
mod layers;
mod losses;
mod metrics;
mod models;
mod recurrent;
mod running;
