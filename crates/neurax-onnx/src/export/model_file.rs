//! Models as messages and files.

use super::draft::{Draft, DraftBody, DraftNode, Wire};
use super::options::Exporter;
use super::replaced_file::ReplacedFile;
use crate::dtype::number_of;
use crate::proto::{
    AttributeProto, DataLocation, Dimension, DimensionProto, GraphProto, ModelProto, NodeProto,
    OperatorSetId, ShapeProto, StringEntry, TensorProto, TensorType, TypeProto, TypeValue,
    ValueInfoProto,
};
use bytes::Bytes;
use neurax_ir::{Error, Literal, OrBug, Result};
use prost::Message;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

/// The largest size of a model in one file, in bytes: that of a message.
const MAX_MESSAGE: usize = i32::MAX as usize;
/// The alignment of tensors in a file of external data, in bytes: that of pages, so that readers
/// can map them.
const PAGE: usize = 4096;
/// The smallest tensor that is moved out of a model that is too large, in bytes.
const AUTOMATIC_THRESHOLD: usize = 1024;

/// The first opset that needs each version of the file format.
const FORMATS: &[(i64, i64)] =
    &[(13, 7), (15, 8), (19, 9), (21, 10), (23, 11), (24, 12), (25, 13), (28, 14)];

/// The names of open sizes, by the value and the axis that have them.
pub(super) type OpenSizes = HashMap<(Arc<str>, usize), String>;

/// A model that is ready to be written.
#[derive(Debug)]
pub(super) struct OnnxModelFile {
    model: ModelProto,
    /// The tensors outside of the model, each with its offset.
    external: Vec<(usize, Literal)>,
}

impl OnnxModelFile {
    /// Creates the file of a model, whose weights are the inputs with these names. With `data`, the
    /// name of a file, large tensors are moved there.
    ///
    /// # Errors
    /// If a dtype has no number.
    pub fn new(
        exporter: &Exporter,
        draft: &Draft,
        weights: &HashMap<Arc<str>, Literal>,
        open: &OpenSizes,
        data: Option<&str>,
    ) -> Result<OnnxModelFile> {
        let mut used = HashSet::new();
        draft.main.each_use(&mut |name| used.extend([name.clone()]));
        let is_input = |x: &&Wire| !weights.contains_key(&x.name);
        let (inputs, weighted): (Vec<&Wire>, Vec<&Wire>) =
            draft.main.inputs.iter().partition(is_input);
        let read = weighted.into_iter().filter(|x| used.contains(&x.name));
        let weights = read.filter_map(|x| Some((&x.name, weights.get(&x.name)?)));
        let constants = draft.constants.iter().map(|(name, value)| (name, value));
        let all: Vec<(&Arc<str>, &Literal)> = weights.chain(constants).collect();
        let total: usize = all.iter().map(|(_, x)| x.bytes().len()).sum();
        let threshold = threshold(exporter.external_threshold, total);
        let mut file = OnnxModelFile { model: exporter.header(), external: vec![] };
        let mut initializer = vec![];
        for (name, value) in all {
            let outside = threshold.is_some_and(|n| value.bytes().len() >= n.max(1));
            let place = data.filter(|_| outside);
            if outside && data.is_none() && total > MAX_MESSAGE / 2 {
                let why = "a model of more than 1 GB is written to two files; use `export`";
                return Err(Error::new("onnx export", why));
            }
            initializer.push(file.tensor(name, value, place)?);
        }
        let graph = GraphProto {
            name: exporter.graph_name.clone(),
            node: draft.main.nodes.iter().map(node_message).collect::<Result<_>>()?,
            initializer,
            input: inputs.into_iter().map(|x| value_info(x, open)).collect::<Result<_>>()?,
            output: draft
                .main
                .outputs
                .iter()
                .map(|y| value_info(y, open))
                .collect::<Result<_>>()?,
            ..GraphProto::default()
        };
        file.model.graph = Some(graph);
        Ok(file)
    }

    /// Creates the file of a model that exists, with `tensors` as initializers more. If it would be
    /// too large, they are moved to the file `data`.
    ///
    /// # Errors
    /// If a dtype has no number.
    pub fn edited(
        model: ModelProto,
        tensors: BTreeMap<String, Literal>,
        data: &str,
    ) -> Result<OnnxModelFile> {
        let new: usize = tensors.values().map(|x| x.bytes().len()).sum();
        let threshold = threshold(None, model.encoded_len().saturating_add(new));
        let mut file = OnnxModelFile { model, external: vec![] };
        for (name, value) in tensors {
            let is_outside = threshold.is_some_and(|n| value.bytes().len() >= n);
            let tensor = file.tensor(&name, &value, is_outside.then_some(data))?;
            file.model.graph.get_or_insert_default().initializer.push(tensor);
        }
        Ok(file)
    }

    /// Returns the message, if all tensors are in it.
    ///
    /// # Errors
    /// If some are not.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self.external.is_empty() {
            true => self.message(),
            false => Err(Error::bug("a model in memory with tensors in another file")),
        }
    }

    /// Writes the model, and a file of external data beside it if tensors are in it. Old files are
    /// replaced when both are complete.
    ///
    /// # Errors
    /// If the model is too large for a message, or a file cannot be written.
    pub fn write(&self, path: &Path, data: &str) -> Result<()> {
        let failed = |path: &Path, e: std::io::Error| {
            Error::new("onnx export", format!("cannot write {}: {e}", path.display()))
        };
        let message = self.message()?;
        let beside = path.with_file_name(data);
        let data = match self.external.is_empty() {
            true => None,
            false => {
                let data = ReplacedFile::write(&beside, |file| self.write_data(file));
                Some(data.map_err(|e| failed(&beside, e))?)
            }
        };
        let model = ReplacedFile::write(path, |file| file.write_all(&message));
        let model = model.map_err(|e| failed(path, e))?;
        data.map_or(Ok(()), ReplacedFile::rename).map_err(|e| failed(&beside, e))?;
        model.rename().map_err(|e| failed(path, e))
    }

    /// Returns the bytes of the model without its external data.
    pub fn message(&self) -> Result<Vec<u8>> {
        check_message(self.model.encoded_len())?;
        Ok(self.model.encode_to_vec())
    }

    fn write_data(&self, file: &mut impl Write) -> std::io::Result<()> {
        let mut at = 0;
        for (offset, value) in &self.external {
            file.write_all(&vec![0; offset - at])?;
            file.write_all(value.bytes())?;
            at = offset + value.bytes().len();
        }
        Ok(())
    }

    /// Returns the message of a tensor, whose elements are in the file `outside` if that is given.
    fn tensor(
        &mut self,
        name: &str,
        value: &Literal,
        outside: Option<&str>,
    ) -> Result<TensorProto> {
        let ty = value.ty();
        let mut message = TensorProto {
            name: name.into(),
            dims: ty.shape.iter().map(|&n| n as i64).collect(),
            data_type: number_of(ty.dtype).or_bug("a dtype without a number")?,
            ..TensorProto::default()
        };
        let Some(location) = outside else {
            message.raw_data = Some(Bytes::copy_from_slice(value.bytes()));
            return Ok(message);
        };
        let end = self.external.last().map_or(0, |(offset, x)| offset + x.bytes().len());
        let offset = end.next_multiple_of(PAGE);
        let entry = |key: &str, value: String| StringEntry { key: key.into(), value };
        message.data_location = DataLocation::External as i32;
        message.external_data = vec![
            entry("location", location.into()),
            entry("offset", offset.to_string()),
            entry("length", value.bytes().len().to_string()),
        ];
        self.external.push((offset, value.clone()));
        Ok(message)
    }
}

impl Exporter {
    /// Returns a model without a graph.
    fn header(&self) -> ModelProto {
        let format = FORMATS.iter().rfind(|(opset, _)| *opset <= self.opset).map_or(7, |row| row.1);
        let property = |(key, value): &(String, String)| StringEntry {
            key: key.clone(),
            value: value.clone(),
        };
        ModelProto {
            ir_version: format,
            producer_name: self.producer.0.clone(),
            producer_version: self.producer.1.clone(),
            model_version: self.model_version,
            doc_string: self.doc.clone(),
            opset_import: vec![OperatorSetId { domain: String::new(), version: self.opset }],
            metadata_props: self.properties.iter().map(property).collect(),
            ..ModelProto::default()
        }
    }
}

/// Returns the size from which tensors are written to another file, in bytes. If the tensors are
/// too large for one file, it is not larger than the automatic one.
fn threshold(chosen: Option<usize>, total: usize) -> Option<usize> {
    let automatic = (total > MAX_MESSAGE / 2).then_some(AUTOMATIC_THRESHOLD);
    chosen.into_iter().chain(automatic).min()
}

/// Checks the number of bytes of a message.
fn check_message(bytes: usize) -> Result<()> {
    match bytes <= MAX_MESSAGE {
        true => Ok(()),
        false => {
            let why = format!(
                "expected a model of at most {MAX_MESSAGE} bytes besides its external data, got \
                 {bytes}; merge small tensors to larger ones"
            );
            Err(Error::new("onnx export", why))
        }
    }
}

fn node_message(node: &DraftNode) -> Result<NodeProto> {
    let mut attribute = node.attributes.clone();
    for (name, body) in &node.bodies {
        attribute.push(AttributeProto::of_graph(name, body_message(name, body)?));
    }
    Ok(NodeProto {
        input: node.inputs.iter().map(|x| x.to_string()).collect(),
        output: node.outputs.iter().map(|y| y.name.to_string()).collect(),
        name: node.name.to_string(),
        op_type: node.op.into(),
        attribute,
        ..NodeProto::default()
    })
}

fn body_message(name: &str, body: &DraftBody) -> Result<GraphProto> {
    // Sizes in bodies may vary; readers infer them.
    let value = |x: &Wire| value_of_rank(x);
    Ok(GraphProto {
        name: name.into(),
        node: body.nodes.iter().map(node_message).collect::<Result<_>>()?,
        input: body.inputs.iter().map(value).collect::<Result<_>>()?,
        output: body.outputs.iter().map(value).collect::<Result<_>>()?,
        ..GraphProto::default()
    })
}

/// Returns the declaration of a value, with the names of its open sizes.
fn value_info(x: &Wire, open: &OpenSizes) -> Result<ValueInfoProto> {
    let dim = |(axis, &n): (usize, &usize)| match open.get(&(x.name.clone(), axis)) {
        Some(name) => Dimension::Name(name.clone()),
        None => Dimension::Size(n as i64),
    };
    let dims = x.ty.shape.iter().enumerate().map(dim).map(Some).collect();
    declaration(x, dims)
}

/// Returns the declaration of a value by its dtype and rank.
fn value_of_rank(x: &Wire) -> Result<ValueInfoProto> {
    declaration(x, vec![None; x.ty.rank()])
}

fn declaration(x: &Wire, dims: Vec<Option<Dimension>>) -> Result<ValueInfoProto> {
    let elem_type = number_of(x.ty.dtype).or_bug("a dtype without a number")?;
    let dim = dims.into_iter().map(|value| DimensionProto { value }).collect();
    let tensor = TensorType { elem_type, shape: Some(ShapeProto { dim }) };
    let r#type = Some(TypeProto { value: Some(TypeValue::Tensor(tensor)) });
    Ok(ValueInfoProto { name: x.name.to_string(), r#type })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_of_large_models_are_moved_out_whatever_the_option() {
        assert_eq!(threshold(Some(1 << 30), 100), Some(1 << 30));
        assert_eq!(threshold(None, 100), None);
        assert_eq!(threshold(Some(1 << 30), 3 << 30), Some(AUTOMATIC_THRESHOLD));
        assert_eq!(threshold(Some(64), 3 << 30), Some(64));
        assert!(check_message(MAX_MESSAGE).is_ok());
        let e = check_message(MAX_MESSAGE + 1).unwrap_err();
        assert!(e.message().contains("at most 2147483647 bytes"), "{e}");
    }
}
