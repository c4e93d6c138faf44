//! Operators of ONNX Runtime that are refused when a model is read, with what to do instead.

use crate::operator::{MICROSOFT, Operator, refused};

const NCHWC: &str = "com.microsoft.nchwc";

const SERVER: &str =
    "caches in pages or blocks are not supported; export the model with GroupQueryAttention";
const GENERATION: &str =
    "loops of generation are not supported; export the decoder alone and call it in a loop";
const TENSOR_CORES: &str = "layouts of tensor cores are not supported; export the model with \
     QuantizeLinear and DequantizeLinear nodes";
const PROCESSOR: &str = "ONNX Runtime has optimized the model for the layout of one processor; \
     save the model with a lower optimization level, at most ORT_ENABLE_EXTENDED";

pub(crate) const OPERATORS: &[Operator] = &[
    refused(MICROSOFT, "SparseAttention", SERVER),
    refused(MICROSOFT, "PagedAttention", SERVER),
    refused(MICROSOFT, "DecoderMaskedMultiHeadAttention", GENERATION),
    refused(MICROSOFT, "DecoderMaskedSelfAttention", GENERATION),
    refused(MICROSOFT, "DecoderAttention", GENERATION),
    refused(MICROSOFT, "BeamSearch", GENERATION),
    refused(MICROSOFT, "GreedySearch", GENERATION),
    refused(MICROSOFT, "Sampling", GENERATION),
    refused(MICROSOFT, "WhisperBeamSearch", GENERATION),
    refused(MICROSOFT, "QOrderedAttention", TENSOR_CORES),
    refused(MICROSOFT, "QOrderedGelu", TENSOR_CORES),
    refused(MICROSOFT, "QOrderedLayerNormalization", TENSOR_CORES),
    refused(MICROSOFT, "QOrderedLongformerAttention", TENSOR_CORES),
    refused(MICROSOFT, "QOrderedMatMul", TENSOR_CORES),
    refused(MICROSOFT, "QuantizeWithOrder", TENSOR_CORES),
    refused(MICROSOFT, "DequantizeWithOrder", TENSOR_CORES),
    refused(MICROSOFT, "NhwcConv", PROCESSOR),
    refused(MICROSOFT, "NhwcMaxPool", PROCESSOR),
    refused(NCHWC, "AveragePool", PROCESSOR),
    refused(NCHWC, "Conv", PROCESSOR),
    refused(NCHWC, "GlobalAveragePool", PROCESSOR),
    refused(NCHWC, "GlobalMaxPool", PROCESSOR),
    refused(NCHWC, "MaxPool", PROCESSOR),
    refused(NCHWC, "ReorderInput", PROCESSOR),
    refused(NCHWC, "ReorderOutput", PROCESSOR),
    refused(NCHWC, "Upsample", PROCESSOR),
];

#[cfg(test)]
mod tests {
    use crate::Importer;
    use crate::proto::OperatorSetId;
    use crate::testing::{edited, graph, int, model, node};

    #[test]
    fn refused_operators_are_listed_when_a_model_is_read() {
        let of = |domain: &str, op: &str, x: &str, y: &str| crate::proto::NodeProto {
            domain: domain.into(),
            ..node(op, x, y)
        };
        let nodes = vec![
            of("com.microsoft", "BeamSearch", "x", "a").with(int("vocab_size", 9)),
            of("com.microsoft.nchwc", "Conv", "a", "b"),
            node("Relu", "b c", "y"),
        ];
        let file = edited(model(graph(&[("x", &[2])], &["y"], vec![], nodes)), |m| {
            for domain in ["com.microsoft", "com.microsoft.nchwc"] {
                m.opset_import.push(OperatorSetId { domain: domain.into(), version: 1 });
            }
        });
        let e = Importer::new().open_bytes(file).unwrap_err().to_string();
        for part in [
            "BeamSearch #0: the operator BeamSearch of `com.microsoft` is refused (opset 1): loops \
             of generation are not supported; export the decoder alone",
            "Conv #1: the operator Conv of `com.microsoft.nchwc` is refused (opset 1): ",
            "expected 1 to 1 inputs, got 2",
        ] {
            assert!(e.contains(part), "{e}");
        }
    }
}
