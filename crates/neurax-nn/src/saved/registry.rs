//! The layers that a file can name: all layers of the library, one entry each.

use crate::layer::OfInputs;
use crate::layers::*;
use crate::model_layer::ModelLayer;
use crate::models::{ClassToken, FirstToken};
use crate::node_ops::{Negate, Operation};
use crate::policy::OutputOf;
use crate::{Layer, LayerOutput};
use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::any::{Any, TypeId};
use std::sync::Arc;

/// A type of layers that files can hold.
pub(super) struct LayerType {
    /// The name in files.
    pub name: &'static str,
    /// The number of outputs.
    pub outputs: fn() -> usize,
    type_id: fn() -> TypeId,
    save: fn(&dyn Any) -> Option<serde_json::Result<Value>>,
    load: fn(Value) -> serde_json::Result<Arc<dyn ModelLayer>>,
}

impl LayerType {
    /// Returns the entry of a [`Layer`] with `N` inputs.
    const fn fixed<L, const N: usize>() -> LayerType
    where
        L: Layer<N> + Serialize + DeserializeOwned,
    {
        LayerType {
            name: L::NAME,
            outputs: L::Output::count,
            type_id: TypeId::of::<OfInputs<L, N>>,
            save: |layer| Some(serde_json::to_value(&*layer.downcast_ref::<OfInputs<L, N>>()?.0)),
            load: |options| {
                Ok(Arc::new(OfInputs::<L, N>(Arc::new(serde_json::from_value(options)?))))
            },
        }
    }

    /// Returns the entry of a [`Layer`] with `N` inputs whose name is that of several types.
    pub const fn called<L, const N: usize>(name: &'static str) -> LayerType
    where
        L: Layer<N> + Serialize + DeserializeOwned,
    {
        LayerType { name, ..LayerType::fixed::<L, N>() }
    }

    /// Returns the entry of a layer with any number of inputs and one output.
    const fn variadic<L>(name: &'static str) -> LayerType
    where
        L: ModelLayer + Serialize + DeserializeOwned,
    {
        LayerType {
            name,
            outputs: || 1,
            type_id: TypeId::of::<L>,
            save: |layer| Some(serde_json::to_value(layer.downcast_ref::<L>()?)),
            load: |options| Ok(Arc::new(serde_json::from_value::<L>(options)?)),
        }
    }

    /// Returns the entry of a layer, or `None` if it is not one of the library.
    pub fn of(layer: &dyn ModelLayer) -> Option<&'static LayerType> {
        let id = (layer as &dyn Any).type_id();
        all().find(|t| (t.type_id)() == id)
    }

    /// Returns the entry of a name in a file.
    pub fn named(name: &str) -> Option<&'static LayerType> {
        all().find(|t| t.name == name)
    }

    /// Returns the options of a layer of this type.
    pub fn options(&self, layer: &dyn ModelLayer) -> Option<serde_json::Result<Value>> {
        (self.save)(layer)
    }

    /// Returns the layer with the given options.
    pub fn layer(&self, options: Value) -> serde_json::Result<Arc<dyn ModelLayer>> {
        (self.load)(options)
    }
}

/// Returns the types of all layers.
pub(super) fn all() -> impl Iterator<Item = &'static LayerType> {
    ALL.iter().chain(ATTENTION).chain(RECURRENT).chain(OF_TYPES)
}

const ALL: &[LayerType] = &[
    LayerType::variadic::<Choice>("cond"),
    LayerType::variadic::<Concat>("concat"),
    LayerType::variadic::<Merged>("merged"),
    LayerType::variadic::<Negate>("negate"),
    LayerType::variadic::<Operation>("operation"),
    LayerType::fixed::<Activation, 1>(),
    LayerType::fixed::<ActivityRegularization, 1>(),
    LayerType::fixed::<AdaptiveAvgPool, 1>(),
    LayerType::fixed::<AdaptiveLpPool, 1>(),
    LayerType::fixed::<AdaptiveMaxPool, 1>(),
    LayerType::fixed::<AlphaDropout, 1>(),
    LayerType::fixed::<Attend, 1>(),
    LayerType::fixed::<AvgPool, 1>(),
    LayerType::fixed::<BatchNorm, 1>(),
    LayerType::fixed::<Bias, 1>(),
    LayerType::fixed::<Bilinear, 2>(),
    LayerType::fixed::<BlurPool, 1>(),
    LayerType::fixed::<Celu, 1>(),
    LayerType::fixed::<ClassToken, 1>(),
    LayerType::fixed::<Conv, 1>(),
    LayerType::fixed::<ConvTranspose, 1>(),
    LayerType::fixed::<CosineSimilarity, 2>(),
    LayerType::fixed::<Cropping, 1>(),
    LayerType::fixed::<Dense, 1>(),
    LayerType::fixed::<DepthwiseConv, 1>(),
    LayerType::fixed::<Dot, 2>(),
    LayerType::fixed::<DropPath, 1>(),
    LayerType::fixed::<Dropout, 1>(),
    LayerType::fixed::<EinsumDense, 1>(),
    LayerType::fixed::<Elu, 1>(),
    LayerType::fixed::<Embedding, 1>(),
    LayerType::fixed::<EmbeddingBag, 1>(),
    LayerType::fixed::<FeatureAlphaDropout, 1>(),
    LayerType::fixed::<FeedForward, 1>(),
    LayerType::fixed::<FirstToken, 1>(),
    LayerType::fixed::<Flatten, 1>(),
    LayerType::fixed::<Fold, 1>(),
    LayerType::fixed::<GaussianDropout, 1>(),
    LayerType::fixed::<GaussianNoise, 1>(),
    LayerType::fixed::<Gelu, 1>(),
    LayerType::fixed::<GlobalAvgPool, 1>(),
    LayerType::fixed::<GlobalLpPool, 1>(),
    LayerType::fixed::<GlobalMaxPool, 1>(),
    LayerType::fixed::<Glu, 1>(),
    LayerType::fixed::<GroupNorm, 1>(),
    LayerType::fixed::<HardShrink, 1>(),
    LayerType::fixed::<HardSigmoid, 1>(),
    LayerType::fixed::<HardSilu, 1>(),
    LayerType::fixed::<HardTanh, 1>(),
    LayerType::fixed::<LayerNorm, 1>(),
    LayerType::fixed::<LeakyRelu, 1>(),
    LayerType::fixed::<LocalResponseNorm, 1>(),
    LayerType::fixed::<LogSoftmax, 1>(),
    LayerType::fixed::<LogSumExp, 1>(),
    LayerType::fixed::<LpPool, 1>(),
    LayerType::fixed::<Mask, 1>(),
    LayerType::fixed::<MaskedMean, 2>(),
    LayerType::fixed::<Masking, 1>(),
    LayerType::fixed::<MaxPool, 1>(),
    LayerType::fixed::<Maxout, 1>(),
    LayerType::fixed::<MixtureOfExperts, 1>(),
    LayerType::fixed::<OutputOf, 1>(),
    LayerType::fixed::<PRelu, 1>(),
    LayerType::fixed::<Pad, 1>(),
    LayerType::fixed::<PairwiseDistance, 2>(),
    LayerType::fixed::<Permute, 1>(),
    LayerType::fixed::<PixelShuffle, 1>(),
    LayerType::fixed::<PixelUnshuffle, 1>(),
    LayerType::fixed::<PositionEmbedding, 1>(),
    LayerType::fixed::<RepeatVector, 1>(),
    LayerType::fixed::<Reshape, 1>(),
    LayerType::fixed::<Resize, 1>(),
    LayerType::fixed::<RmsNorm, 1>(),
    LayerType::fixed::<Rope, 1>(),
    LayerType::fixed::<Scale, 1>(),
    LayerType::fixed::<Selu, 1>(),
    LayerType::fixed::<SeparableConv, 1>(),
    LayerType::fixed::<SinusoidalPositions, 1>(),
    LayerType::fixed::<SoftShrink, 1>(),
    LayerType::fixed::<Softmax, 1>(),
    LayerType::fixed::<Softmin, 1>(),
    LayerType::fixed::<Softplus, 1>(),
    LayerType::fixed::<SpatialDropout, 1>(),
    LayerType::fixed::<Threshold, 1>(),
    LayerType::fixed::<Unfold, 1>(),
    LayerType::fixed::<UnitNorm, 1>(),
    LayerType::fixed::<UpSampling, 1>(),
];

/// Lists the entries of layers that have a name in several types, with numbers of inputs.
macro_rules! entries {
    ($($name:literal $Layer:ty, [$($n:literal)*];)*) => {
        &[$($(LayerType::called::<$Layer, $n>(concat!($name, "/", $n)),)*)*]
    };
}

/// Layers of attention, with every number of inputs: queries, keys and values, mask and bias.
const ATTENTION: &[LayerType] = entries! {
    "additive_attention" AdditiveAttention, [2 3 4];
    "multi_head_attention" MultiHeadAttention, [1 2 3 4 5];
};

/// Layers whose type has parameters: each cell in each layer that runs it, with every number of
/// inputs. These are `x`, a mask, and the states: two of an LSTM, one of the others, those of both
/// directions for a bidirectional layer.
const RECURRENT: &[LayerType] = entries! {
    "lstm" Lstm, [1 2 3 4];
    "lstm.state" ReturnState<Lstm>, [1 2 3 4];
    "bidirectional.lstm" Bidirectional<LstmCell>, [1 2 5 6];
    "bidirectional.lstm.state" ReturnState<Bidirectional<LstmCell>>, [1 2 5 6];
    "bidirectional.lstm.unmerged" Unmerged<LstmCell>, [1 2 5 6];
    "bidirectional.lstm.unmerged.state" ReturnState<Unmerged<LstmCell>>, [1 2 5 6];
    "gru" Gru, [1 2 3];
    "gru.state" ReturnState<Gru>, [1 2 3];
    "bidirectional.gru" Bidirectional<GruCell>, [1 2 3 4];
    "bidirectional.gru.state" ReturnState<Bidirectional<GruCell>>, [1 2 3 4];
    "bidirectional.gru.unmerged" Unmerged<GruCell>, [1 2 3 4];
    "bidirectional.gru.unmerged.state" ReturnState<Unmerged<GruCell>>, [1 2 3 4];
    "simple_rnn" SimpleRnn, [1 2 3];
    "simple_rnn.state" ReturnState<SimpleRnn>, [1 2 3];
    "bidirectional.simple_rnn" Bidirectional<SimpleRnnCell>, [1 2 3 4];
    "bidirectional.simple_rnn.state" ReturnState<Bidirectional<SimpleRnnCell>>, [1 2 3 4];
    "bidirectional.simple_rnn.unmerged" Unmerged<SimpleRnnCell>, [1 2 3 4];
    "bidirectional.simple_rnn.unmerged.state" ReturnState<Unmerged<SimpleRnnCell>>, [1 2 3 4];
    "conv_lstm" ConvLstm, [1 2 3 4];
    "conv_lstm.state" ReturnState<ConvLstm>, [1 2 3 4];
    "bidirectional.conv_lstm" Bidirectional<ConvLstmCell>, [1 2 5 6];
    "bidirectional.conv_lstm.state" ReturnState<Bidirectional<ConvLstmCell>>, [1 2 5 6];
    "bidirectional.conv_lstm.unmerged" Unmerged<ConvLstmCell>, [1 2 5 6];
    "bidirectional.conv_lstm.unmerged.state" ReturnState<Unmerged<ConvLstmCell>>, [1 2 5 6];
    "conv_gru" ConvGru, [1 2 3];
    "conv_gru.state" ReturnState<ConvGru>, [1 2 3];
    "bidirectional.conv_gru" Bidirectional<ConvGruCell>, [1 2 3 4];
    "bidirectional.conv_gru.state" ReturnState<Bidirectional<ConvGruCell>>, [1 2 3 4];
    "bidirectional.conv_gru.unmerged" Unmerged<ConvGruCell>, [1 2 3 4];
    "bidirectional.conv_gru.unmerged.state" ReturnState<Unmerged<ConvGruCell>>, [1 2 3 4];
    "time_distributed.avg_pool" TimeDistributed<AvgPool>, [1];
    "time_distributed.batch_norm" TimeDistributed<BatchNorm>, [1];
    "time_distributed.conv" TimeDistributed<Conv>, [1];
    "time_distributed.dense" TimeDistributed<Dense>, [1];
    "time_distributed.dropout" TimeDistributed<Dropout>, [1];
    "time_distributed.flatten" TimeDistributed<Flatten>, [1];
    "time_distributed.global_avg_pool" TimeDistributed<GlobalAvgPool>, [1];
    "time_distributed.global_max_pool" TimeDistributed<GlobalMaxPool>, [1];
    "time_distributed.group_norm" TimeDistributed<GroupNorm>, [1];
    "time_distributed.max_pool" TimeDistributed<MaxPool>, [1];
    "time_distributed.reshape" TimeDistributed<Reshape>, [1];
};

/// Other layers whose type has parameters.
const OF_TYPES: &[LayerType] = entries! {
    "split.1" Split<1>, [1];
    "split.2" Split<2>, [1];
    "split.3" Split<3>, [1];
    "split.4" Split<4>, [1];
    "split.5" Split<5>, [1];
    "split.6" Split<6>, [1];
    "split.7" Split<7>, [1];
    "split.8" Split<8>, [1];
    "spectral_norm.conv" SpectralNorm<Conv>, [1];
    "spectral_norm.conv_transpose" SpectralNorm<ConvTranspose>, [1];
    "spectral_norm.dense" SpectralNorm<Dense>, [1];
    "weight_norm.conv" WeightNorm<Conv>, [1];
    "weight_norm.conv_transpose" WeightNorm<ConvTranspose>, [1];
    "weight_norm.dense" WeightNorm<Dense>, [1];
};

/// An activation is its name; one that a closure computes has none.
impl Serialize for Activation {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match Activation::by_name(self.name()) {
            Some(_) => self.name().serialize(s),
            None => Err(serde::ser::Error::custom(
                "expected an activation of the library, got one of `Activation::new`",
            )),
        }
    }
}

impl<'d> serde::Deserialize<'d> for Activation {
    fn deserialize<D: serde::Deserializer<'d>>(d: D) -> Result<Activation, D::Error> {
        let name = String::deserialize(d)?;
        Activation::by_name(&name).ok_or_else(|| {
            serde::de::Error::custom(format!("expected the name of an activation, got `{name}`"))
        })
    }
}
