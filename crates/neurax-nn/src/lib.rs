//! Layers, losses, metrics, optimizers, initializers and models.
//!
//! A model is built as a graph of [`Node`]s and is a pure function: it takes variables and inputs
//! and returns outputs and new state. Losses and metrics are functions of `(&prediction, &target)`;
//! optimizers are values that can be chained. Nothing here loops, prints or holds state; that is
//! the task of `neurax-train`. Users import this crate as `neurax::nn`; start with [`input`], the
//! methods of [`Node`], and [`Model`].
//!
//! ```
//! use neurax::prelude::*;
//! let model = nn::input("image", dims![_, 64]).dense(32).relu().dense(10).softmax();
//! let mut vars = model.init(key(0), &types![f32[_, 64]])?;
//! let opt = optim::sgd(0.1);
//! let mut state = opt.init(&vars.params);
//!
//! let (x, t) = (Tensor::ones([8, 64]), Tensor::ones([8, 10]) / 10.0);
//! for _ in 0..3 {
//!     let (loss, grads) = value_and_grad_at(&vars.params, |p| {
//!         let out = model.apply_with(&p, &vars.state, &x, &Mode::Eval);
//!         loss::categorical_cross_entropy(out.y(), &t)
//!     });
//!     (vars.params, state) = opt.step(&vars.params, &grads, state);
//!     println!("{}", loss.item()?);
//! }
//! # Ok::<(), Error>(())
//! ```

#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

extern crate neurax_tensor as neurax;

mod abstract_values;
mod applied;
mod block;
mod branches;
pub mod check;
mod cx;
mod diagram;
mod evaluate;
mod example_weights;
pub mod fairness;
mod files;
mod hook;
pub mod init;
mod init_missing;
mod input_shapes;
mod inputs;
mod layer;
mod layer_precision;
pub mod layers;
pub mod lora;
pub mod loss;
pub mod metric;
mod mode;
mod model;
mod model_graph;
mod model_layer;
pub mod models;
mod net;
mod node;
mod node_ops;
mod node_structure;
pub mod optim;
mod param_mask;
mod path_pattern;
mod policy;
mod precision;
mod predictor;
mod predictor_state;
pub mod quantize;
pub mod regularize;
mod saved;
mod sequence_mask;
mod stored_param;
mod summary;
mod surgery;
mod tensor_list;
mod vars;
mod walk;

pub use applied::Applied;
pub use block::{Block, SharedLayer, block, shared};
pub use cx::Cx;
pub use files::{Renames, load_tensors};
pub use hook::HookMode;
pub use inputs::{InputTypes, Inputs};
pub use layer::{Layer, LayerOutput, NodesOf, dynamic_layer, layer};
pub use layer_precision::LayerPrecision;
pub use layers::*;
pub use lora::Lora;
pub use metric::{Metric, MetricState};
pub use mode::Mode;
pub use model::Model;
pub use model_layer::{MaskRule, TakeMask};
pub use net::Net;
pub use neurax_macros::LayerOutput;
pub use node::{Node, input, typed_input};
pub use node_ops::{NodeOperand, NodeOperator};
pub use node_structure::{BlockOutput, NodeInputs};
pub use optim::{OptState, Optim};
pub use param_mask::ParamMask;
pub use policy::Policy;
pub use predictor::{Predictor, PredictorMemory};
pub use quantize::Scheme;
pub use summary::SummaryRow;
pub use surgery::VisitedLayer;
pub use vars::{Params, Vars};
pub use walk::LayerInfo;
