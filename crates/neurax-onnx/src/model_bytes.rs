//! The message of a file, and what is said about a file that has none.
//!
//! The problem: a file that is no ONNX model is most often one of another format, or half a model.
//! The error of the decoder names neither. A file of a known format is recognized by its first
//! bytes; of others, the error says what may have happened to them.

use crate::proto::ModelProto;
use bytes::Bytes;
use neurax_ir::{Error, Result};
use prost::Message;

/// Other formats: the position of some bytes, these, what the file is, and what to do.
const OTHER_FORMATS: &[(usize, &[u8], &str, &str)] = &[
    (0, b"version https://git-lfs", "a pointer of Git LFS", "fetch the model by `git lfs pull`"),
    (0, b"PK\x03\x04", "a zip archive, as PyTorch writes", EXPORT),
    (0, b"\x1f\x8b", "compressed by gzip", "unpack it first"),
    (0, b"\x89HDF", "an HDF5 file, as Keras writes", EXPORT),
    (0, b"<", "a web page or another text", "download the model itself"),
    (0, b"{", "a JSON text", EXPORT),
    (4, b"ORTM", "of the format of ONNX Runtime", "use the ONNX file that it was made of"),
    (4, b"TFL3", "a model of TensorFlow Lite", EXPORT),
    (8, b"{\"", "a file of safetensors", EXPORT),
];
const EXPORT: &str = "export the model to ONNX";

/// Returns the model of a file, whose tensors share the bytes.
///
/// # Errors
/// If the file is no ONNX model, is damaged, or has no graph.
pub(crate) fn decoded_model(bytes: Bytes) -> Result<ModelProto> {
    let file = bytes.clone();
    match ModelProto::decode(bytes) {
        Ok(model) if model.graph.is_some() => Ok(model),
        Ok(_) => Err(no_model(&file, "it has no graph")),
        Err(e) if e.to_string().contains("recursion limit") => {
            Err(no_model(&file, "its graphs are nested too deeply"))
        }
        Err(_) => Err(no_model(&file, "it is damaged or not complete")),
    }
}

/// Returns the error of a file that is no model; `why` is the reason if it has no other format.
fn no_model(file: &[u8], why: &str) -> Error {
    let is_of = |(at, magic): (usize, &[u8])| file.get(at..).is_some_and(|f| f.starts_with(magic));
    let other = OTHER_FORMATS.iter().find(|(at, magic, ..)| is_of((*at, *magic)));
    let why = match (file.len(), other) {
        (0, _) => "no ONNX model: the file is empty; export or copy it again".into(),
        (_, Some((_, _, what, advice))) => format!("no ONNX model: the file is {what}; {advice}"),
        (n, None) => format!("no ONNX model in these {n} bytes: {why}; export or copy it again"),
    };
    Error::new("onnx", why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{graph, model, node};

    fn refusal(file: &[u8]) -> String {
        decoded_model(Bytes::copy_from_slice(file)).unwrap_err().message().to_string()
    }

    #[test]
    fn files_that_are_no_models_say_what_they_are() {
        for (file, why) in [
            (&b"PK\x03\x04...."[..], "no ONNX model: the file is a zip archive, as PyTorch writes"),
            (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
            (b"\x18\0\0\0ORTM\0\0", "of the format of ONNX Runtime"),
            (b"\x40\0\0\0\0\0\0\0{\"w\":{", "a file of safetensors"),
            (b"", "the file is empty"),
            (b"\x08\x0a", "no ONNX model in these 2 bytes: it has no graph"),
        ] {
            assert!(refusal(file).contains(why), "{}", refusal(file));
        }
        let whole = model(graph(&[("x", &[2])], &["y"], vec![], vec![node("Relu", "x", "y")]));
        let e = refusal(&whole[..whole.len() / 2]);
        assert!(e.ends_with("it is damaged or not complete; export or copy it again"), "{e}");
        assert!(decoded_model(whole.into()).is_ok());
    }
}
