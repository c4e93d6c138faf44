//! Architectures in the form of their papers, one file each, built from the layers of this crate
//! alone: a function of nodes with a struct of options.
//!
//! The paths of variables are the names of the implementation in `torchvision` or `transformers`
//! where these name a whole layer, so that [`Vars::load_renamed`](crate::Vars::load_renamed) loads
//! their checkpoints with [`Renames::torch`](crate::Renames::torch), or with the rules that the
//! architecture gives. Weights are not part of this crate.
//!
//! ```
//! use neurax::prelude::*;
//! use nn::models::{ResNetConfig, resnet};
//! let config = ResNetConfig { width: 4, classes: 10, ..ResNetConfig::resnet18() };
//! let model = resnet(nn::input("image", dims![_, 3, 32, 32]), &config).model();
//! let vars = model.init(key(0), &types![f32[_, 3, 32, 32]])?;
//! assert_eq!(vars.get("layer2.0.downsample.0.kernel")?.shape(), [8, 4, 1, 1]);
//! # Ok::<(), Error>(())
//! ```

mod bert;
mod gpt2;
mod llama;
mod mobilenet;
mod parts;
mod resnet;
mod unet;
mod vit;
mod whisper;

pub use bert::{BertConfig, bert, bert_renames};
pub use gpt2::{Gpt2Config, gpt2, gpt2_renames};
pub use llama::{LlamaConfig, llama, llama_renames};
pub use mobilenet::{MobileNetV2Config, mobilenet_v2};
pub(crate) use parts::{ClassToken, FirstToken};
pub use resnet::{ResNetConfig, resnet};
pub use unet::{UNetConfig, unet};
pub use vit::{VitConfig, vit, vit_renames};
pub use whisper::{WhisperConfig, whisper_encoder, whisper_renames};
