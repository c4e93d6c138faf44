//! Attributes that a version of an operator removed, most of them for an input.
//!
//! A file that has one anyway expects it to be honoured, which the rule of the version does not do:
//! that is an error. Attributes that a later version added need no such list, as they mean the same
//! in a file of an older version.

/// Operators, attributes, and the version that removed these. `consumed_inputs`, which had no
/// effect, is left out.
const REMOVED: &[(&str, &str, i64)] = &[
    ("Add And Div Equal Greater Less Mul Or Pow Sub Xor", "axis broadcast", 7),
    ("BatchNormalization", "is_test", 7),
    ("BatchNormalization", "spatial", 9),
    ("Clip", "max min", 11),
    ("DFT", "axis", 20),
    ("Dropout", "is_test", 7),
    ("Dropout", "ratio", 12),
    ("GRU LSTM RNN", "output_sequence", 7),
    ("Gemm", "broadcast", 7),
    ("LabelEncoder", "classes_strings", 2),
    ("Pad", "paddings", 2),
    ("Pad", "pads value", 11),
    ("ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin", "axes", 18),
    ("ReduceProd ReduceSumSquare", "axes", 18),
    ("ReduceSum", "axes", 13),
    ("Reshape", "shape", 5),
    ("Scan", "directions", 9),
    ("Slice", "axes ends starts", 10),
    ("Split", "split", 13),
    ("Squeeze Unsqueeze", "axes", 13),
    ("TopK", "k", 10),
    ("Upsample", "height_scale width_scale", 7),
    ("Upsample", "scales", 9),
];

/// Returns the version that removed an attribute, if `version` of the operator does not have it.
pub(crate) fn removed_in(operator: &str, attribute: &str, version: i64) -> Option<i64> {
    let has = |names: &str, name: &str| names.split(' ').any(|n| n == name);
    let row = REMOVED.iter().find(|row| has(row.0, operator) && has(row.1, attribute))?;
    Some(row.2).filter(|&removed| version >= removed)
}
