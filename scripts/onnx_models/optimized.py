"""Models that the optimizers of ONNX Runtime rewrite, with its contrib operators."""

import onnx
import onnxruntime
from onnxconverter_common import float16
from onnxruntime.transformers.fusion_options import FusionOptions
from onnxruntime.transformers.optimizer import optimize_model

import quantized
import torch_sequences
import torch_transformers
from common import Data, before

ENCODER = dict(torch_transformers.MAKERS)["hf_bert"]


def fused(build, kind, heads, width, absolute=1e-4, half=False, **options):
    """Returns the maker of a model whose transformer layers are fused to contrib operators."""

    def make(path):
        float_path = before(path)
        sets = build(float_path).sets
        how = FusionOptions(kind)
        for name, value in options.items():
            setattr(how, name, value)
        model = optimize_model(str(float_path), kind, heads, width, opt_level=0,
                               optimization_options=how)
        if half:
            model.convert_float_to_float16(keep_io_types=True)
        model.save_model_to_file(str(path))
        float_path.unlink()
        return Data([(x, None if half else y) for x, y in sets], absolute, is_standard=False)

    return make


def session_optimized(build, level):
    """Returns the maker of a model that a session of ONNX Runtime optimizes and writes."""

    def make(path):
        float_path = before(path)
        data = build(float_path)
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(path)
        onnxruntime.InferenceSession(str(float_path), options, ["CPUExecutionProvider"])
        float_path.unlink()
        data.is_standard = False
        return data

    return make


def halved(build, absolute):
    """Returns the maker of a model in f16."""

    def make(path):
        float_path = before(path)
        sets = build(float_path).sets
        model = float16.convert_float_to_float16(onnx.load(float_path), keep_io_types=True)
        onnx.save(model, path)
        float_path.unlink()
        return Data([(x, None) for x, _ in sets], absolute)

    return make


# The distance between numbers of f16 from 1 to 2. The outputs go up to 4. ONNX Runtime computes
# products of f16 in f32, and rounds at other places than Neurax.
STEP = 2.0 ** -10
EXTENDED = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
SEQUENCES = dict(torch_sequences.MAKERS)
TRANSFORMERS = dict(torch_transformers.MAKERS)

MAKERS = [
    ("fused_bert", fused(ENCODER, "bert", 4, 32)),
    ("fused_bert_mask", fused(ENCODER, "bert", 4, 32, use_multi_head_attention=True)),
    ("fused_roberta", fused(TRANSFORMERS["hf_roberta"], "bert", 4, 32)),
    ("fused_minilm", fused(TRANSFORMERS["minilm"], "bert", 12, 384)),
    ("fused_gpt2", fused(TRANSFORMERS["hf_gpt2"], "gpt2", 4, 32)),
    ("fused_gpt_cache", fused(TRANSFORMERS["gpt_cache"], "gpt2", 4, 32)),
    ("fused_llama", fused(TRANSFORMERS["llama"], "gpt2", 4, 32)),
    ("fused_vit", fused(TRANSFORMERS["hf_clip"], "vit", 4, 32)),
    ("fused_t5", fused(TRANSFORMERS["hf_t5"], "t5", 4, 32)),
    ("half_bert", fused(ENCODER, "bert", 4, 32, 4 * STEP, half=True)),
    ("half_conv", halved(quantized.small_net, 2 * STEP)),
    ("session_encoder", session_optimized(quantized.encoder, EXTENDED)),
    ("session_conv", session_optimized(quantized.small_net, EXTENDED)),
    ("session_mobilenet", session_optimized(quantized.mobile_net, EXTENDED)),
    ("session_dynamic", session_optimized(
        quantized.dynamic(quantized.encoder, weight_type=quantized.S8), EXTENDED)),
    ("session_qdq", session_optimized(
        quantized.static(quantized.small_net, quant_format=quantized.QDQ), EXTENDED)),
    ("session_speech", session_optimized(SEQUENCES["speech"], EXTENDED)),
]
