//! Reading of models: options, the file, and the list of everything that is wrong with it.

use crate::external::{ExternalData, FileReader, shared};
use crate::graph::OnnxGraph;
use crate::info::ModelInfo;
use crate::model_bytes::decoded_model;
use crate::proto::ModelProto;
use crate::reader::Reader;
use crate::session::Session;
use bytes::Bytes;
use neurax_ir::{Error, OrBug, Result};
use neurax_nn::{Net, Predictor};
use neurax_tensor::io::{read_file, read_or_map_file};
use std::collections::HashMap;
use std::path::Path;

/// The first version of files whose initializers need not be inputs: those that are can be
/// overridden.
const OVERRIDABLE_SINCE: i64 = 4;

/// A reader of ONNX models, with options.
///
/// # Large files
///
/// Files of 1 GiB and more are mapped into memory, as ONNX Runtime maps external data: only the
/// pages that a model uses are read, and a model may be larger than memory. Such a file must not be
/// changed in place or shortened while a session, a network or a tensor of it is in use: numbers
/// would change, and a read behind the new end of the file ends the program by the signal `SIGBUS`.
/// No function can check this, and other crates mark such functions `unsafe` for that reason. A
/// service that gets new models writes each to a new file and renames it over the old one, as the
/// functions of this crate do; or it sets [`Importer::copy_files`], which has no such condition.
///
/// # Examples
///
/// ```
/// use neurax::onnx::Importer;
/// let e = Importer::new().open_bytes(*b"no model").unwrap_err().to_string();
/// assert!(e.starts_with("onnx: no ONNX model"), "{e}");
/// ```
#[derive(Clone, Debug, Default)]
pub struct Importer {
    is_newer_allowed: bool,
    copies_files: bool,
    files: HashMap<String, Bytes>,
}

impl Importer {
    /// Creates a reader with the default options.
    pub fn new() -> Importer {
        Importer::default()
    }

    /// Allows models of operator sets that are newer than the newest known one: they get its rules.
    pub fn allow_newer_opsets(self) -> Importer {
        Importer { is_newer_allowed: true, ..self }
    }

    /// Copies files of every size, so that they may change while the model is in use. Without this
    /// option, [large files](Importer#large-files) are mapped as [`read_or_map_file`] does.
    pub fn copy_files(self) -> Importer {
        Importer { copies_files: true, ..self }
    }

    /// Adds a file of external data, for a model in memory: `location` is its name in the model.
    pub fn file(mut self, location: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Importer {
        self.files.insert(location.into(), Bytes::from(bytes.into()));
        self
    }

    /// Reads the model in a file as a network, whose parameters are the initializers. A
    /// [large file](Importer#large-files) must not change in place while the network is in use.
    ///
    /// # Errors
    /// As for [`Importer::open`], and if an input is no tensor.
    pub fn import(&self, path: impl AsRef<Path>) -> Result<Net> {
        self.import_at(path.as_ref())
    }

    fn import_at(&self, path: &Path) -> Result<Net> {
        self.open_at(path)?.net()
    }

    /// Reads a model in memory as a network.
    ///
    /// # Errors
    /// As for [`Importer::import`].
    pub fn import_bytes(&self, bytes: impl Into<Vec<u8>>) -> Result<Net> {
        self.open_bytes(bytes)?.net()
    }

    /// Reads the model in a file and compiles it for inference on inputs of its declared types. An
    /// axis with a name or without a size has any size: then a call with a new shape compiles the
    /// model for it, or [`Predictor::warm_up`] does. A [large file](Importer#large-files) must not
    /// change in place while the predictor is in use.
    ///
    /// # Errors
    /// As for [`Importer::import`], and if a node cannot be compiled: a shape that depends on data
    /// needs a [`Session`], and so does a node that draws random numbers without a seed. With open
    /// sizes, the first call returns this error.
    #[track_caller]
    pub fn predictor(&self, path: impl AsRef<Path>) -> Result<Predictor> {
        predictor_of(&self.import_at(path.as_ref())?)
    }

    /// Reads a model in memory and compiles it as [`Importer::predictor`] does.
    ///
    /// ```
    /// use neurax::onnx::Importer;
    /// use neurax::prelude::*;
    /// # let file = b"\x08\x0a:W\x0a\x11\x0a\x01x\x0a\x01w\x12\x01y\x22\x06MatMul\x12\x01g*\x13\
    /// # \x08\x02\x08\x01\x10\x01\x22\x08\x00\x00\x00@\x00\x00@@B\x01wZ\x14\x0a\x01x\x12\
    /// # \x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01n\x0a\x02\x08\x02b\x14\x0a\x01y\
    /// # \x12\x0f\x0a\x0d\x08\x01\x12\x09\x0a\x03\x12\x01n\x0a\x02\x08\x01B\x04\x0a\x00\
    /// # \x10\x15";
    /// // `file` is a model of `y = x w` in memory, whose `x` is f32[n, 2].
    /// let predictor = Importer::new().predictor_bytes(*file)?;
    /// let y = predictor.run(tensor([[1.0, 10.0], [1.0, 0.0]]))?;
    /// assert_eq!(y.to_vec::<f32>()?, [32.0, 2.0]);
    /// # Ok::<(), Error>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Importer::predictor`].
    #[track_caller]
    pub fn predictor_bytes(&self, bytes: impl Into<Vec<u8>>) -> Result<Predictor> {
        predictor_of(&self.import_bytes(bytes)?)
    }

    /// Reads the model in a file, and its external data beside it. A
    /// [large file](Importer#large-files) must not change in place while the session is in use.
    ///
    /// # Errors
    /// If the file cannot be read, is no model, or has nodes that are not supported: the message
    /// lists all of them.
    pub fn open(&self, path: impl AsRef<Path>) -> Result<Session> {
        self.open_at(path.as_ref())
    }

    fn open_at(&self, path: &Path) -> Result<Session> {
        let read = (self.reader())(path).map_err(|e| e.to_string());
        let read = read.map_err(|why| Error::new("onnx", format!("{}: {why}", path.display())))?;
        let session = self.read(shared(read), Some(path));
        session.map_err(|e| Error::new("onnx", format!("{}: {}", path.display(), e.message())))
    }

    /// Reads a model in memory.
    ///
    /// # Errors
    /// As for [`Importer::open`].
    pub fn open_bytes(&self, bytes: impl Into<Vec<u8>>) -> Result<Session> {
        self.read(Bytes::from(bytes.into()), None)
    }

    fn reader(&self) -> FileReader {
        match self.copies_files {
            true => |path| read_file(path),
            false => |path| read_or_map_file(path),
        }
    }

    fn read(&self, bytes: Bytes, path: Option<&Path>) -> Result<Session> {
        let (model, main) = self.model(bytes, path)?;
        let info = ModelInfo::of(&model, &main);
        Ok(Session::new(main, info))
    }

    /// Reads a model with external data beside `path`, and its main graph.
    ///
    /// # Errors
    /// As for [`Importer::open`].
    pub(crate) fn model(
        &self,
        bytes: Bytes,
        path: Option<&Path>,
    ) -> Result<(ModelProto, OnnxGraph)> {
        let model = decoded_model(bytes)?;
        let graph = model.graph.as_ref().or_bug("a model without a graph")?;
        let files = ExternalData::new(path, self.files.clone()).with_reader(self.reader());
        let (opsets, functions) = (&model.opset_import, &model.functions);
        let mut reader = Reader::new(opsets, functions, &files, self.is_newer_allowed);
        let mut main = reader.graph(graph);
        reader.check_computed(&main);
        if !reader.problems.is_empty() {
            return Err(Error::new("onnx", reader.problems.to_string()));
        }
        if model.ir_version < OVERRIDABLE_SINCE {
            main.inputs.retain(|i| !main.initializers.contains_key(&i.name));
        }
        Ok((model, main))
    }
}

/// Compiles a network for the declared types of its inputs.
#[track_caller]
fn predictor_of(net: &Net) -> Result<Predictor> {
    net.predictor(net.model.declared_types()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{declared, floats, graph, model, model_of, node};

    fn refusal(file: Vec<u8>) -> String {
        Importer::new().open_bytes(file).unwrap_err().message().to_string()
    }

    #[test]
    fn each_problem_is_said_once() {
        let nodes =
            vec![node("Unknown", "x", "a"), node("Add", "a b", "y"), node("Relu", "y", "z")];
        let e = refusal(model(graph(&[("x", &[2])], &["z", "w"], vec![], nodes)));
        let want = "Unknown #0: the operator Unknown is not supported (opset 21); export the model \
                    without it; Add #1: nothing computes its input `b`; nothing computes the \
                    output `w`";
        assert_eq!(e, want, "`a` is not listed, as it is the result of Unknown");
        let short = crate::proto::TensorProto { dims: vec![3], ..floats("c", &[1], &[0.0]) };
        let e = refusal(model(graph(&[], &["c"], vec![short], vec![])));
        assert!(e.starts_with("initializer `c`: expected"), "the name is said once: {e}");
    }

    #[test]
    fn a_newer_opset_is_one_problem_of_all_nodes() {
        let nodes = || vec![node("Relu", "x", "y"), node("Relu", "y", "z")];
        let newer = || model_of("", 99, graph(&[("x", &[2])], &["z"], vec![], nodes()));
        let e = refusal(newer());
        assert!(e.starts_with("opset 99 is newer than"), "{e}");
        assert_eq!(e.matches("opset 99").count(), 1, "{e}");
        assert!(Importer::new().allow_newer_opsets().open_bytes(newer()).is_ok());
        let unused = || model_of("ai.onnx.ml", 99, graph(&[("x", &[2])], &["z"], vec![], nodes()));
        assert!(Importer::new().open_bytes(unused()).is_ok(), "no node is of this domain");
    }

    #[test]
    fn networks_say_which_input_is_no_tensor() {
        let mut g = graph(&[], &["y"], vec![], vec![node("StringConcat", "a a", "y")]);
        g.input.push(declared("a", 8, &["1", "n"]));
        let e = Importer::new().import_bytes(model(g)).unwrap_err().message().to_string();
        assert!(e.starts_with("the input `a` is string[1, n], and a network needs tensors"), "{e}");
        assert!(e.ends_with("run the model as a `Session`"), "{e}");
    }
}
