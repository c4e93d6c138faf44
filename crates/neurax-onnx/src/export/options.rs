//! The options of an export.

use neurax_ir::DType;
use std::ops::RangeInclusive;

/// The opset unless one is chosen: the one that all current runtimes read.
const DEFAULT_OPSET: i64 = 18;

/// A writer of ONNX models, with options.
///
/// ```
/// use neurax::onnx::{self, Exporter};
/// use neurax::prelude::*;
/// let softplus = |x: Tensor| (x.exp() + 1.0).log();
/// let file = Exporter::new().opset(17).to_bytes_fn(softplus, types![f32[_, "features"]])?;
/// let net = onnx::import_bytes(file)?;
/// let y = net.apply(tensor([[0.0, 1.0]]));
/// assert!(y.y().allclose(tensor([[0.6931472, 1.3132616]]), 1e-6, 0.0).item()? == 1.0);
/// # Ok::<(), Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Exporter {
    pub(super) opset: i64,
    pub(super) input_names: Vec<String>,
    pub(super) output_names: Vec<String>,
    pub(super) graph_name: String,
    pub(super) producer: (String, String),
    pub(super) model_version: i64,
    pub(super) doc: String,
    pub(super) properties: Vec<(String, String)>,
    pub(super) external_threshold: Option<usize>,
    pub(super) float: Option<DType>,
    pub(super) is_for_inference: bool,
}

impl Default for Exporter {
    fn default() -> Exporter {
        Exporter {
            opset: DEFAULT_OPSET,
            input_names: vec![],
            output_names: vec![],
            graph_name: "main".into(),
            producer: ("neurax".into(), env!("CARGO_PKG_VERSION").into()),
            model_version: 0,
            doc: String::new(),
            properties: vec![],
            external_threshold: None,
            float: None,
            is_for_inference: false,
        }
    }
}

impl Exporter {
    /// The opsets of exported models, from the oldest to the newest.
    pub const OPSETS: RangeInclusive<i64> = 13..=28;

    /// Creates a writer with the default options: opset 18.
    pub fn new() -> Exporter {
        Exporter::default()
    }

    /// Chooses the version of the operator set, from 13 to 28. A function that the opset has no
    /// operator for is written as a composition, or is an error that says which opset it needs.
    pub fn opset(self, version: i64) -> Exporter {
        Exporter { opset: version, ..self }
    }

    /// Names the inputs, in order. Without names, those of a network are its own, and those of a
    /// function are `x0`, `x1`, ..
    pub fn input_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Exporter {
        Exporter { input_names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Names the outputs, in order. Without names, those of a network are its own, and those of a
    /// function are `y0`, `y1`, ..
    pub fn output_names<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Exporter {
        Exporter { output_names: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Names the graph; without a name it is `main`.
    pub fn name(self, name: impl Into<String>) -> Exporter {
        Exporter { graph_name: name.into(), ..self }
    }

    /// Sets the program that the file names as its producer, and its version.
    pub fn producer(self, name: impl Into<String>, version: impl Into<String>) -> Exporter {
        Exporter { producer: (name.into(), version.into()), ..self }
    }

    /// Sets the version of the model.
    pub fn model_version(self, version: i64) -> Exporter {
        Exporter { model_version: version, ..self }
    }

    /// Sets the description of the model.
    pub fn doc(self, text: impl Into<String>) -> Exporter {
        Exporter { doc: text.into(), ..self }
    }

    /// Adds a custom property of the model.
    pub fn property(mut self, key: impl Into<String>, value: impl Into<String>) -> Exporter {
        self.properties.push((key.into(), value.into()));
        self
    }

    /// Writes tensors of at least `bytes` bytes to a second file beside the model, whose name has
    /// the suffix `.data`. Models of more than 1 GB are always written to two files.
    pub fn external_data(self, bytes: usize) -> Exporter {
        Exporter { external_threshold: Some(bytes), ..self }
    }

    /// Chooses the dtype of weights and computations of f32, which becomes f16 or bf16. Inputs and
    /// outputs stay f32 and are converted in the model.
    pub fn float(self, dtype: DType) -> Exporter {
        Exporter { float: Some(dtype), ..self }
    }

    /// Computes what depends on weights alone, as compiled programs do, so that other runtimes need
    /// not: batch normalizations are folded into the weights in front of them, transposed weights
    /// are stored as they are read. A computed weight has the name of its layer and `.folded`, so
    /// that the file has other parameters than the network.
    ///
    /// ```
    /// use neurax::onnx::{Exporter, Importer};
    /// use neurax::prelude::*;
    /// let model = nn::input("x", dims![_, 1, 8, 8]).conv(4, 3).batch_norm().model();
    /// let net = model.bind(model.init(key(0), &types![f32[_, 1, 8, 8]])?);
    /// let operators = |exporter: Exporter| {
    ///     let file = exporter.to_bytes(&net, types![f32[_, 1, 8, 8]])?;
    ///     let operators = Importer::new().open_bytes(file)?.info().operators.clone();
    ///     Ok::<_, Error>(operators.into_keys().collect::<Vec<String>>())
    /// };
    /// assert_eq!(operators(Exporter::new())?, ["BatchNormalization", "Conv"]);
    /// assert_eq!(operators(Exporter::new().for_inference())?, ["Conv"]);
    /// # Ok::<(), Error>(())
    /// ```
    pub fn for_inference(self) -> Exporter {
        Exporter { is_for_inference: true, ..self }
    }
}
