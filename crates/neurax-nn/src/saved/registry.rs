//! The layers that a file can name: all layers of the library, one entry each.

#[cfg(test)]
use crate::LayerPrecision;
use crate::layer::OfInputs;
use crate::layers::*;
use crate::model_layer::ModelLayer;
use crate::models::{ClassToken, FirstToken};
use crate::node_ops::{Negate, Operation};
use crate::policy::OutputOf;
use crate::sequence_mask::AllMasks;
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
    /// The precision of layers of this type, unless their options decide it.
    #[cfg(test)]
    pub precision: LayerPrecision,
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
            #[cfg(test)]
            precision: L::PRECISION,
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
            #[cfg(test)]
            precision: LayerPrecision::OfPolicy,
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
    [ALL, ATTENTION, RECURRENT, AROUND, SPLITS].into_iter().flatten()
}

const ALL: &[LayerType] = &[
    LayerType::variadic::<AllMasks>("all_masks"),
    LayerType::variadic::<Choice>("cond"),
    LayerType::variadic::<Concat>("concat"),
    LayerType::variadic::<Merged>("merged"),
    LayerType::variadic::<Negate>("negate"),
    LayerType::variadic::<Operation>("operation"),
    LayerType::fixed::<Activation, 1>(),
    LayerType::fixed::<ActivityRegularization, 1>(),
    LayerType::fixed::<AdaptiveAvgPool, 1>(),
    LayerType::fixed::<AdaptiveLogSoftmax, 1>(),
    LayerType::called::<AdaptiveLogSoftmax, 2>("adaptive_log_softmax/2"),
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
    LayerType::called::<DeformConv, 2>("deform_conv/2"),
    LayerType::called::<DeformConv, 3>("deform_conv/3"),
    LayerType::fixed::<Dense, 1>(),
    LayerType::fixed::<DepthwiseConv, 1>(),
    LayerType::fixed::<Dot, 2>(),
    LayerType::fixed::<DropPath, 1>(),
    LayerType::fixed::<Dropout, 1>(),
    LayerType::fixed::<EinsumDense, 1>(),
    LayerType::fixed::<Elu, 1>(),
    LayerType::fixed::<Embedding, 1>(),
    LayerType::fixed::<EmbeddingBag, 1>(),
    LayerType::called::<EmbeddingBag, 2>("embedding_bag/2"),
    LayerType::fixed::<FeatureAlphaDropout, 1>(),
    LayerType::fixed::<FeedForward, 1>(),
    LayerType::fixed::<FirstToken, 1>(),
    LayerType::fixed::<Flatten, 1>(),
    LayerType::fixed::<Fold, 1>(),
    LayerType::fixed::<FractionalMaxPool, 1>(),
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
    LayerType::fixed::<MaxPoolWithIndices, 1>(),
    LayerType::fixed::<MaxUnpool, 2>(),
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
    LayerType::fixed::<RRelu, 1>(),
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

/// Lists the entries of each cell in each layer that runs it, with every number of inputs. These
/// are `x`, a mask, and the states: of one direction, and of both for a bidirectional layer.
macro_rules! cells {
    ($($name:literal $Cell:ty, [$($n:literal)*], both [$($both:literal)*];)*) => {
        &[$(
            $(
                LayerType::called::<Rnn<$Cell>, $n>(concat!($name, "/", $n)),
                LayerType::called::<ReturnState<Rnn<$Cell>>, $n>(
                    concat!($name, ".state/", $n)
                ),
                LayerType::called::<Stacked<Rnn<$Cell>>, $n>(concat!("stacked.", $name, "/", $n)),
                LayerType::called::<ReturnState<Stacked<Rnn<$Cell>>>, $n>(
                    concat!("stacked.", $name, ".state/", $n)
                ),
            )*
            $(
                LayerType::called::<Bidirectional<$Cell>, $both>(
                    concat!("bidirectional.", $name, "/", $both)
                ),
                LayerType::called::<ReturnState<Bidirectional<$Cell>>, $both>(
                    concat!("bidirectional.", $name, ".state/", $both)
                ),
                LayerType::called::<Stacked<Bidirectional<$Cell>>, $both>(
                    concat!("stacked.bidirectional.", $name, "/", $both)
                ),
                LayerType::called::<ReturnState<Stacked<Bidirectional<$Cell>>>, $both>(
                    concat!("stacked.bidirectional.", $name, ".state/", $both)
                ),
                LayerType::called::<Unmerged<$Cell>, $both>(
                    concat!("bidirectional.", $name, ".unmerged/", $both)
                ),
                LayerType::called::<ReturnState<Unmerged<$Cell>>, $both>(
                    concat!("bidirectional.", $name, ".unmerged.state/", $both)
                ),
            )*
        )*]
    };
}

const RECURRENT: &[LayerType] = cells! {
    "lstm" LstmCell, [1 2 3 4], both [1 2 5 6];
    "gru" GruCell, [1 2 3], both [1 2 3 4];
    "simple_rnn" SimpleRnnCell, [1 2 3], both [1 2 3 4];
    "conv_lstm" ConvLstmCell, [1 2 3 4], both [1 2 5 6];
    "conv_gru" ConvGruCell, [1 2 3], both [1 2 3 4];
};

/// Lists the entries of layers with one input around others.
macro_rules! around {
    ($($name:literal $Layer:ident, [$($inner:literal $Inner:ident)*];)*) => {
        around! { @ [] $($name $Layer, [$($inner $Inner)*];)* }
    };
    (@ [$($entry:expr,)*]) => { &[$($entry,)*] };
    (@ [$($entry:expr,)*] $name:literal $Layer:ident, [$($inner:literal $Inner:ident)*];
        $($rest:tt)*
    ) => {
        around! { @ [
            $($entry,)*
            $(LayerType::called::<$Layer<$Inner>, 1>(concat!($name, ".", $inner, "/1")),)*
        ] $($rest)* }
    };
}

const AROUND: &[LayerType] = around! {
    "time_distributed" TimeDistributed, [
        "avg_pool" AvgPool
        "batch_norm" BatchNorm
        "conv" Conv
        "dense" Dense
        "dropout" Dropout
        "flatten" Flatten
        "global_avg_pool" GlobalAvgPool
        "global_max_pool" GlobalMaxPool
        "group_norm" GroupNorm
        "max_pool" MaxPool
        "reshape" Reshape
    ];
    "spectral_norm" SpectralNorm, ["conv" Conv "conv_transpose" ConvTranspose "dense" Dense];
    "weight_norm" WeightNorm, ["conv" Conv "conv_transpose" ConvTranspose "dense" Dense];
};

/// Splits, whose type has the number of parts.
const SPLITS: &[LayerType] = entries! {
    "split.1" Split<1>, [1];
    "split.2" Split<2>, [1];
    "split.3" Split<3>, [1];
    "split.4" Split<4>, [1];
    "split.5" Split<5>, [1];
    "split.6" Split<6>, [1];
    "split.7" Split<7>, [1];
    "split.8" Split<8>, [1];
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
