//! The layers, one file each: the pure function of tensors, the layer, and its tests.
//!
//! To add a layer, add a file here with its short form as a method of [`crate::Node`], and add the
//! file to this list; `docs/adding-a-layer.md` shows each step. All names here are names of the
//! crate, too.
//!
//! The rules for axes, names and precision are in `docs/adding-a-layer.md`. Axis 0 holds the
//! examples, and [`Dense`], [`LayerNorm`] and [`RmsNorm`] work on the last axis.

mod activation;
mod activation_options;
mod activity_regularization;
mod adaptive_log_softmax;
mod attention;
mod axes;
mod batch_norm;
mod bilinear;
mod concat;
mod conv;
mod dense;
mod dropout;
mod embedding;
mod embedding_bag;
mod flatten;
mod gated;
mod group_norm;
mod kernel_norm;
mod layer_norm;
mod linear_parts;
mod local_response_norm;
mod merge;
mod pool;
mod recurrent;
mod reshape;
mod rms_norm;
mod rrelu;
mod scale_bias;
mod shape;
mod similarity;
mod transformer;
mod unit_norm;

pub use activation::Activation;
pub use activation_options::{
    Celu, Elu, Gelu, HardShrink, HardSigmoid, HardSilu, HardTanh, LeakyRelu, LogSoftmax, LogSumExp,
    Selu, SoftShrink, Softmax, Softmin, Softplus, Threshold,
};
pub use activity_regularization::ActivityRegularization;
pub use adaptive_log_softmax::{AdaptiveLogSoftmax, adaptive_log_softmax};
pub use attention::{
    AdditiveAttention, LongRope, MultiHeadAttention, Rope, RopeScaling, Yarn, additive_attention,
    alibi, alibi_slopes, rope,
};
pub use batch_norm::{BatchNorm, batch_norm};
pub use bilinear::{Bilinear, bilinear};
pub(crate) use concat::Concat;
pub use concat::concat;
pub use conv::{
    Conv, ConvTranspose, DeformConv, DepthwiseConv, SeparableConv, conv, conv_transpose,
    deform_conv, separable_conv,
};
pub use dense::{Dense, dense};
pub use dropout::{
    AlphaDropout, DropPath, Dropout, FeatureAlphaDropout, GaussianDropout, GaussianNoise,
    SpatialDropout, alpha_dropout, dropout,
};
pub(crate) use embedding::Attend;
pub use embedding::{Embedding, embedding};
pub use embedding_bag::{BagMode, EmbeddingBag};
pub use flatten::{Flatten, flatten};
pub use gated::{Glu, Maxout, PRelu};
pub use group_norm::{GroupNorm, group_norm};
pub use kernel_norm::{SpectralNorm, WeightNorm};
pub use layer_norm::{LayerNorm, layer_norm};
pub use linear_parts::{Bias, EinsumDense, Scale};
pub use local_response_norm::{LocalResponseNorm, local_response_norm};
pub(crate) use merge::{Choice, Merged};
pub use merge::{Dot, add, average, cond, maximum, minimum, multiply, stack};
pub use pool::{
    AdaptiveAvgPool, AdaptiveLpPool, AdaptiveMaxPool, AvgPool, BlurPool, FractionalMaxPool,
    GlobalAvgPool, GlobalLpPool, GlobalMaxPool, LpPool, MaxPool, MaxPoolWithIndices, MaxUnpool,
    blur_pool, fractional_max_pool, lp_pool, max_unpool,
};
pub(crate) use recurrent::Mask;
pub use recurrent::{
    Bidirectional, Cell, CellWeights, ConvGru, ConvGruCell, ConvLstm, ConvLstmCell, Gru, GruCell,
    Lstm, LstmCell, MaskedMean, Masking, Merge, Recurrent, ReturnState, Rnn, SimpleRnn,
    SimpleRnnCell, Stackable, Stacked, TimeDistributed, Unmerged, mask_of, masked_mean,
};
pub use reshape::{Reshape, reshape};
pub use rms_norm::{RmsNorm, rms_norm};
pub use rrelu::RRelu;
pub use shape::{
    Cropping, Fold, Interpolation, Pad, Permute, PixelShuffle, PixelUnshuffle, RepeatVector,
    Resize, Split, Unfold, UpSampling, fold, pixel_shuffle, pixel_unshuffle, resize, unfold,
};
pub use similarity::{CosineSimilarity, PairwiseDistance};
pub use transformer::{
    FeedForward, MixtureOfExperts, PositionEmbedding, SinusoidalPositions, TransformerLayer,
    balance_loss, sinusoidal_positions,
};
pub use unit_norm::{UnitNorm, unit_norm};
