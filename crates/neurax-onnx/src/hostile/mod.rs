//! Files that ask for much more than they have: functions without end, loops inside of loops,
//! strings that double. Each is an error, in a time and a memory that its size explains. And files
//! with attributes that no operator has.

mod attributes;
mod programs;
mod values;

use crate::proto::TensorProto;
use crate::{Importer, OnnxValue, Session};
use neurax_tensor::Tensor;
use std::collections::HashMap;

fn open(file: Vec<u8>) -> Session {
    Importer::new().open_bytes(file).unwrap()
}

fn refusal(file: Vec<u8>) -> String {
    Importer::new().open_bytes(file).unwrap_err().message().to_string()
}

fn inputs(all: &[(&str, Tensor)]) -> HashMap<String, OnnxValue> {
    all.iter().map(|(name, x)| (name.to_string(), OnnxValue::Tensor(x.clone()))).collect()
}

/// Returns the error of a call, of the compiled model; node by node, it is one as well.
#[track_caller]
fn failure(file: Vec<u8>, xs: &[(&str, Tensor)]) -> String {
    let session = open(file);
    session.run_eagerly(inputs(xs)).unwrap_err();
    session.run(inputs(xs)).unwrap_err().to_string()
}

/// Returns an initializer of equal strings.
fn words(name: &str, count: usize, text: &str) -> TensorProto {
    TensorProto {
        name: name.into(),
        data_type: 8,
        dims: vec![count as i64],
        string_data: vec![text.to_string().into(); count],
        ..TensorProto::default()
    }
}
