//! Operators of ONNX Runtime that are refused, with what to do instead.

use crate::call::{NodeCall, RuleOutcome, fail};
use crate::operator::{Operator, op};

pub(crate) const OPERATORS: &[Operator] = &[
    refused("SparseAttention", server).attributes(&[
        "do_rotary",
        "kv_num_heads",
        "num_heads",
        "rotary_interleaved",
        "scale",
        "sparse_block_size",
    ]),
    refused("PagedAttention", server).attributes(&[
        "do_rotary",
        "is_causal",
        "k_cache_dtype",
        "k_quant_type",
        "kv_cache_layout",
        "kv_num_heads",
        "local_window_size",
        "num_heads",
        "qk_norm_epsilon",
        "rotary_interleaved",
        "rotary_offset",
        "scale",
        "softcap",
        "v_cache_dtype",
        "v_head_size",
        "v_quant_type",
    ]),
    refused("DecoderMaskedMultiHeadAttention", generation).attributes(&[
        "mask_filter_value",
        "num_heads",
        "output_qk",
        "past_present_share_buffer",
        "scale",
    ]),
    refused("DecoderMaskedSelfAttention", generation).attributes(&[
        "do_rotary",
        "mask_filter_value",
        "num_heads",
        "past_present_share_buffer",
        "scale",
    ]),
    refused("DecoderAttention", generation).attributes(&["mask_filter_value", "num_heads"]),
    refused("BeamSearch", generation).attributes(&[
        "decoder",
        "decoder_start_token_id",
        "early_stopping",
        "encoder",
        "eos_token_id",
        "init_decoder",
        "model_type",
        "no_repeat_ngram_size",
        "pad_token_id",
        "vocab_size",
    ]),
    refused("GreedySearch", generation).attributes(&[
        "decoder",
        "decoder_start_token_id",
        "encoder",
        "eos_token_id",
        "init_decoder",
        "model_type",
        "no_repeat_ngram_size",
        "pad_token_id",
        "vocab_size",
    ]),
    refused("Sampling", generation).attributes(&[
        "custom",
        "decoder",
        "decoder_start_token_id",
        "encoder",
        "eos_token_id",
        "filter_value",
        "init_decoder",
        "min_tokens_to_keep",
        "model_type",
        "no_repeat_ngram_size",
        "pad_token_id",
        "presence_penalty",
        "temperature",
        "top_p",
        "vocab_size",
    ]),
    refused("WhisperBeamSearch", generation).attributes(&[
        "beginning_timestamp_token_id",
        "decoder",
        "decoder_output_cross_qk",
        "decoder_start_token_id",
        "early_stopping",
        "encoder",
        "eos_token_id",
        "init_decoder",
        "model_type",
        "no_repeat_ngram_size",
        "no_speech_token_id",
        "no_timestamps_token_id",
        "pad_token_id",
        "start_of_lm_token_id",
        "transcribe_token_id",
        "translate_token_id",
        "vocab_size",
    ]),
    refused("QOrderedAttention", ordered).attributes(&[
        "num_heads",
        "order_input",
        "order_output",
        "order_weight",
        "qkv_hidden_sizes",
        "unidirectional",
    ]),
    refused("QOrderedGelu", ordered).attributes(&["order_X", "order_Y"]),
    refused("QOrderedLayerNormalization", ordered)
        .attributes(&["axis", "epsilon", "order_X", "order_Y"]),
    refused("QOrderedLongformerAttention", ordered).attributes(&[
        "num_heads",
        "order_global_weight",
        "order_input",
        "order_output",
        "order_weight",
        "window",
    ]),
    refused("QOrderedMatMul", ordered).attributes(&["order_A", "order_B", "order_Y"]),
    refused("QuantizeWithOrder", ordered).attributes(&["order_input", "order_output"]),
    refused("DequantizeWithOrder", ordered).attributes(&["order_input", "order_output", "to"]),
];

/// Creates an operator that is refused whatever its inputs are.
const fn refused(name: &'static str, rule: fn(&NodeCall) -> RuleOutcome) -> Operator {
    op(name, &[1], 0..=usize::MAX, rule).domain("com.microsoft")
}

fn server(_: &NodeCall) -> RuleOutcome {
    fail("caches in pages or blocks are not supported; export the model with GroupQueryAttention")
}

fn generation(_: &NodeCall) -> RuleOutcome {
    fail("loops of generation are not supported; export the decoder alone and call it in a loop")
}

fn ordered(_: &NodeCall) -> RuleOutcome {
    fail(
        "layouts of tensor cores are not supported; export the model with QuantizeLinear and \
         DequantizeLinear nodes",
    )
}
