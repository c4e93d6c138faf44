//! The layers that a file can name: all layers of the library, one entry each.

use crate::layer::OfInputs;
use crate::layers::*;
use crate::model_layer::ModelLayer;
use crate::node_ops::{Negate, Operation};
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
        ALL.iter().find(|t| (t.type_id)() == id)
    }

    /// Returns the entry of a name in a file.
    pub fn named(name: &str) -> Option<&'static LayerType> {
        ALL.iter().find(|t| t.name == name)
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

const ALL: &[LayerType] = &[
    LayerType::variadic::<Concat>("concat"),
    LayerType::variadic::<Negate>("negate"),
    LayerType::variadic::<Operation>("operation"),
    LayerType::fixed::<Activation, 1>(),
    LayerType::fixed::<Attend, 1>(),
    LayerType::fixed::<AvgPool, 1>(),
    LayerType::fixed::<BatchNorm, 1>(),
    LayerType::fixed::<Conv, 1>(),
    LayerType::fixed::<Dense, 1>(),
    LayerType::fixed::<Dropout, 1>(),
    LayerType::fixed::<Embedding, 1>(),
    LayerType::fixed::<Flatten, 1>(),
    LayerType::fixed::<GlobalAvgPool, 1>(),
    LayerType::fixed::<GlobalMaxPool, 1>(),
    LayerType::fixed::<GroupNorm, 1>(),
    LayerType::fixed::<LayerNorm, 1>(),
    LayerType::fixed::<MaxPool, 1>(),
    LayerType::fixed::<Reshape, 1>(),
    LayerType::fixed::<RmsNorm, 1>(),
];

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
