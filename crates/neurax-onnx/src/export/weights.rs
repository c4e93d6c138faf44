//! Weights written back into an imported file, whose graph is untouched.
//!
//! The file is not decoded and encoded, which would lose what this crate does not read. Its bytes
//! are copied field by field, and only the elements of tensors are replaced: a field of the format
//! is a key, a length and the content, so that a changed content changes the lengths of the
//! messages around it and nothing else.
//!
//! ```text
//! model { .. graph { .. initializer { dims data_type name raw_data } .. } .. }
//! ```
//!
//! Tensors in another file stay outside of the model: the new ones are written to a file beside it.

use super::copied_data::copy_data;
use super::proto_fields::{fields, replaced};
use super::replaced_file::ReplacedFile;
use super::tensor_survey::{TensorSurvey, failed};
use crate::param_names::{is_shadowed, layer_and_name};
use crate::proto::{DataLocation, StringEntry, TensorProto};
use bytes::Bytes;
use neurax_ir::{Error, Literal, Result, Type};
use neurax_nn::Vars;
use prost::Message;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;

/// The numbers of the fields in which a message of a tensor may have its elements.
const ELEMENT_FIELDS: [u64; 9] = [4, 5, 6, 7, 9, 10, 11, 13, 14];

/// Writes a copy of an imported file with the parameters of `vars`, frozen or not, in place of
/// those of the file; everything else stays the same, byte for byte.
///
/// Parameters have the names that [`import`](crate::import) gives them: those of the initializers,
/// and of the outputs of `Constant` nodes, of several floats, and of one float that is a weight.
///
/// ```no_run
/// use neurax::prelude::*;
/// let mut net = onnx::import("model.onnx")?;
/// net.vars.set("fc.bias", Tensor::zeros([10]))?;
/// onnx::write_weights("model.onnx", &net.vars, "tuned.onnx")?;
/// # Ok::<(), Error>(())
/// ```
///
/// # Errors
/// If a parameter of the file is not among the variables or has another type there, if a variable
/// is not a parameter of the file, or if a file cannot be read or written.
pub fn write_weights(original: impl AsRef<Path>, vars: &Vars, new: impl AsRef<Path>) -> Result<()> {
    let (original, new) = (original.as_ref(), new.as_ref());
    let bytes = std::fs::read(original)
        .map_err(|e| failed(format!("cannot read {}: {e}", original.display())))?;
    let bytes = Bytes::from(bytes);
    let survey = TensorSurvey::of(&bytes)?;
    survey.check_path(original, new)?;
    let mut writer = WeightWriter::new(vars, survey, original, new)?;
    let file = writer.model(&bytes)?;
    writer.check_written()?;
    copy_data("write_weights", &writer.survey.kept, original, new)?;
    writer.write(new, &file)
}

/// The replacement of tensors.
struct WeightWriter<'v> {
    vars: &'v Vars,
    /// The parameters that have not been found in the file.
    missing: BTreeSet<String>,
    /// The elements of tensors that are in another file, and the name of the new one.
    data: Vec<u8>,
    data_name: String,
    survey: TensorSurvey,
}

impl WeightWriter<'_> {
    fn new<'v>(
        vars: &'v Vars,
        survey: TensorSurvey,
        original: &Path,
        new: &Path,
    ) -> Result<WeightWriter<'v>> {
        Ok(WeightWriter {
            vars,
            missing: vars.trainable().into_iter().chain(vars.frozen()).collect(),
            data: vec![],
            data_name: survey.data_name(original, new)?,
            survey,
        })
    }

    /// Writes the model and its data. Old files are replaced when both are complete.
    fn write(&self, new: &Path, model: &[u8]) -> Result<()> {
        let data = new.with_file_name(&self.data_name);
        let files = [(data.as_path(), &self.data[..]), (new, model)];
        let mut written = vec![];
        for (path, bytes) in files.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            let file = ReplacedFile::write(path, |file| file.write_all(bytes));
            written.push((path, file.map_err(|e| unwritten(path, &e))?));
        }
        // The data first: the old model does not name them, or has its own at their places.
        let mut renamed = written.into_iter().map(|(path, file)| (path, file.rename()));
        renamed.try_for_each(|(path, done)| done.map_err(|e| unwritten(path, &e)))
    }

    fn model(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        replaced(bytes, &mut |number, content| match number {
            7 => self.graph(content).map(Some),
            _ => Ok(None),
        })
    }

    fn graph(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        replaced(bytes, &mut |number, content| match number {
            1 => self.node(content),
            5 => self.tensor(content, None).map(Some),
            _ => Ok(None),
        })
    }

    /// Returns a node, if it is a constant that has the name of its output as a parameter.
    fn node(&mut self, bytes: &[u8]) -> Result<Option<Vec<u8>>> {
        let text = |number: u64| -> Result<Option<String>> {
            let found = fields(bytes)?.into_iter().find(|f| f.number == number);
            let content = found.and_then(|f| f.content).map(|c| &bytes[c]);
            Ok(content.map(|c| String::from_utf8_lossy(c).into_owned()))
        };
        let (Some(op), Some(output)) = (text(4)?, text(2)?) else { return Ok(None) };
        if op != "Constant" {
            return Ok(None);
        }
        let node = replaced(bytes, &mut |number, attribute| match number {
            5 => replaced(attribute, &mut |number, tensor| match number {
                5 => self.tensor(tensor, Some(&output)).map(Some),
                _ => Ok(None),
            })
            .map(Some),
            _ => Ok(None),
        });
        node.map(Some)
    }

    /// Returns a tensor with the value of its parameter; unchanged if it is none. The name of a
    /// constant is that of the output.
    fn tensor(&mut self, bytes: &[u8], output: Option<&str>) -> Result<Vec<u8>> {
        let old = TensorProto::decode(bytes)
            .map_err(|_| failed("no ONNX model: a damaged tensor; export it again".into()))?;
        let name = output.unwrap_or(&old.name);
        let is_outside = old.data_location == DataLocation::External as i32;
        let ty = self.survey.parameter_type(name, &old)?;
        let ty = ty.filter(|_| !is_shadowed(name, &self.survey.params));
        let Some(ty) = ty else { return Ok(bytes.to_vec()) };
        let value = self.value(name, &ty)?;
        let mut new = vec![];
        for f in fields(bytes)? {
            if !ELEMENT_FIELDS.contains(&f.number) {
                new.extend_from_slice(&bytes[f.all]);
            }
        }
        let elements = match is_outside {
            true => self.outside(&value),
            false => TensorProto {
                raw_data: Some(Bytes::copy_from_slice(value.bytes())),
                ..TensorProto::default()
            },
        };
        new.extend(elements.encode_to_vec());
        Ok(new)
    }

    /// Returns the value of a parameter of the file.
    fn value(&mut self, name: &str, ty: &Type) -> Result<Literal> {
        let (layer, param) = layer_and_name(name);
        let path = format!("{layer}.{param}");
        let value = self.vars.get(&path).map_err(|_| {
            failed(format!("expected the parameter `{path}` of the file, {ty}, got none"))
        })?;
        self.missing.remove(&path);
        match value.ty()? == *ty {
            true => value.to_literal(),
            false => {
                Err(failed(format!("expected the parameter `{path}` as {ty}, got {}", value.ty()?)))
            }
        }
    }

    /// Adds elements to the new file, and returns their place.
    fn outside(&mut self, value: &Literal) -> TensorProto {
        let entry = |key: &str, value: String| StringEntry { key: key.into(), value };
        let place = vec![
            entry("location", self.data_name.clone()),
            entry("offset", self.data.len().to_string()),
            entry("length", value.bytes().len().to_string()),
        ];
        self.data.extend_from_slice(value.bytes());
        TensorProto {
            external_data: place,
            data_location: DataLocation::External as i32,
            ..TensorProto::default()
        }
    }

    /// Checks that the file has all parameters.
    fn check_written(&self) -> Result<()> {
        match self.missing.iter().next() {
            None => Ok(()),
            Some(path) => Err(failed(format!(
                "the file has no parameter `{path}`; expected variables with the names of the \
                 imported network"
            ))),
        }
    }
}

fn unwritten(path: &Path, e: &std::io::Error) -> Error {
    failed(format!("cannot write {}: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{external, floats, graph, ints, model, node};
    use crate::{Importer, import_bytes};
    use neurax::prelude::*;
    use std::path::PathBuf;

    fn folder(name: &str) -> PathBuf {
        let folder =
            std::env::temp_dir().join(format!("neurax-weights-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Returns a dense layer with a field that no reader of this crate knows.
    fn dense() -> Vec<u8> {
        let nodes = vec![node("MatMul", "x fc.weight", "p"), node("Add", "p bias", "y")];
        let weights = vec![
            floats("fc.weight", &[2, 2], &[1.0, 2.0, 3.0, 4.0]),
            floats("bias", &[2], &[0.5, 0.5]),
            ints("unused", &[1], &[3]),
        ];
        let mut file = model(graph(&[("x", &[-1, 2])], &["y"], weights, nodes));
        file.extend([0xfa, 0x7f, 3, b'a', b'b', b'c']);
        file
    }

    #[test]
    fn only_weights_change() {
        let folder = folder("only");
        let (old, new) = (folder.join("old.onnx"), folder.join("new.onnx"));
        std::fs::write(&old, dense()).unwrap();
        let mut net = crate::import(&old).unwrap();
        write_weights(&old, &net.vars, &new).unwrap();
        let same = crate::import(&new).unwrap();
        assert_eq!(same.vars.trainable(), net.vars.trainable());
        net.vars.set("bias.value", tensor([1.0, 2.0])).unwrap();
        net.vars.freeze("fc.*").unwrap();
        write_weights(&old, &net.vars, &new).unwrap();
        let y = crate::import(&new).unwrap().apply(tensor([[1.0, 0.0]]));
        assert_eq!(y["y"].to_vec::<f32>().unwrap(), [2.0, 4.0]);
        let bytes = std::fs::read(&new).unwrap();
        assert!(bytes.ends_with(&[0xfa, 0x7f, 3, b'a', b'b', b'c']), "unknown fields are kept");
    }

    #[test]
    fn layers_of_one_unit_keep_all_their_parameters() {
        let folder = folder("one-unit");
        let (old, new) = (folder.join("old.onnx"), folder.join("new.onnx"));
        let layers = nn::input("x", dims![_, 1, 4]).conv(1, 3).flatten().dense(1);
        let model = layers.dense(1).model();
        let mut vars = model.init(key(0), &types![f32[_, 1, 4]]).unwrap();
        crate::export(&model.bind(vars.clone()), types![f32[_, 1, 4]], &old).unwrap();
        let net = crate::import(&old).unwrap();
        assert_eq!(net.vars.trainable(), vars.trainable());
        write_weights(&old, &vars, &new).unwrap();
        vars.set("dense.bias", tensor([3.0])).unwrap();
        write_weights(&old, &vars, &new).unwrap();
        let tuned = crate::import(&new).unwrap().vars;
        for path in vars.trainable() {
            let (got, want) = (tuned.get(&path).unwrap(), vars.get(&path).unwrap());
            assert_eq!(got.to_vec::<f32>().unwrap(), want.to_vec::<f32>().unwrap(), "{path}");
        }
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn other_types_and_names_are_errors() {
        let folder = folder("errors");
        let (old, new) = (folder.join("old.onnx"), folder.join("new.onnx"));
        std::fs::write(&old, dense()).unwrap();
        let net = import_bytes(dense()).unwrap();
        let message =
            |vars: &Vars| write_weights(&old, vars, &new).unwrap_err().message().to_string();
        let mut vars = net.vars.clone();
        vars.params.get_mut("fc").unwrap().insert("weight".into(), Tensor::zeros([3, 2]));
        assert_eq!(
            message(&vars),
            "expected the parameter `fc.weight` as f32[2, 2], got f32[3, 2]"
        );
        let mut vars = net.vars.clone();
        vars.params.remove("fc");
        assert!(message(&vars).contains("expected the parameter `fc.weight` of the file"));
        let mut vars = net.vars.clone();
        vars.params.entry("other".into()).or_default().insert("bias".into(), Tensor::zeros([2]));
        assert!(message(&vars).contains("the file has no parameter `other.bias`"));
        std::fs::write(&old, &dense()[..40]).unwrap();
        assert!(message(&net.vars).starts_with("no ONNX model"));
        assert!(!new.exists());
    }

    #[test]
    fn external_weights_stay_outside() {
        let folder = folder("external");
        let data: Vec<u8> = [1f32, 2.0, 3.0, 4.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.join("data"), data).unwrap();
        let weights = vec![
            external("w.weight", 1, &[2], &[("location", "data"), ("length", "8")]),
            external("i", 6, &[1], &[("location", "data"), ("offset", "8"), ("length", "4")]),
        ];
        let nodes = vec![node("Mul", "x w.weight", "y")];
        let old = folder.join("old.onnx");
        std::fs::write(&old, model(graph(&[("x", &[2])], &["y"], weights, nodes))).unwrap();
        let mut net = crate::import(&old).unwrap();
        net.vars.set("w.weight", tensor([5.0, 7.0])).unwrap();
        let new = folder.join("other").join("new.onnx");
        std::fs::create_dir_all(new.parent().unwrap()).unwrap();
        write_weights(&old, &net.vars, &new).unwrap();
        let y = Importer::new().import(&new).unwrap().apply(tensor([1.0, 1.0]));
        assert_eq!(y["y"].to_vec::<f32>().unwrap(), [5.0, 7.0]);
        let before = crate::import(&old).unwrap().apply(tensor([1.0, 1.0]));
        assert_eq!(before["y"].to_vec::<f32>().unwrap(), [1.0, 2.0], "the original is as it was");
    }

    #[test]
    fn data_that_another_model_reads_are_kept() {
        let folder = folder("renamed");
        let data: Vec<u8> = [1f32, 2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.join("data"), data).unwrap();
        let weights = vec![external("w.weight", 1, &[2], &[("location", "data")])];
        let nodes = vec![node("Mul", "x w.weight", "y")];
        let [old, tuned, best] = ["old.onnx", "tuned.onnx", "best.onnx"].map(|n| folder.join(n));
        std::fs::write(&old, model(graph(&[("x", &[2])], &["y"], weights, nodes))).unwrap();
        let mut net = crate::import(&old).unwrap();
        let mut write = |from: &Path, x: f32| {
            net.vars.set("w.weight", tensor([x, x])).unwrap();
            write_weights(from, &net.vars, &tuned)
        };
        let value = |path: &Path| {
            crate::import(path).unwrap().apply(tensor([1.0, 1.0]))["y"].to_vec::<f32>().unwrap()
        };
        write(&old, 3.0).unwrap();
        std::fs::rename(&tuned, &best).unwrap();
        write(&best, 4.0).unwrap();
        assert_eq!((value(&best), value(&tuned)), (vec![3.0; 2], vec![4.0; 2]));
        let e = write_weights(&old, &net.vars, folder.join("data")).unwrap_err();
        assert!(e.message().contains("use another name"), "{e}");
        assert_eq!(value(&old), [1.0, 2.0]);
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_constant_with_the_name_of_a_parameter_is_kept() {
        let folder = folder("shadowed");
        let (old, new) = (folder.join("old.onnx"), folder.join("new.onnx"));
        let weights = vec![floats("a", &[2], &[1.0, 2.0]), floats("a.value", &[2], &[10.0, 20.0])];
        let nodes = vec![node("Mul", "x a", "p"), node("Add", "p a.value", "y")];
        std::fs::write(&old, model(graph(&[("x", &[2])], &["y"], weights, nodes))).unwrap();
        let mut net = crate::import(&old).unwrap();
        net.vars.set("a.value", tensor([3.0, 4.0])).unwrap();
        write_weights(&old, &net.vars, &new).unwrap();
        let y = crate::import(&new).unwrap().apply(tensor([1.0, 1.0]));
        assert_eq!(y["y"].to_vec::<f32>().unwrap(), [13.0, 24.0]);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
