"""Exports models from Python frameworks, with random weights, as tests of ONNX backends, or lays
out models of packages with trained weights.

    python scripts/onnx_models FOLDER GROUP [PART OF A NAME]

GROUP is one of torch_images, torch_sequences, torch_transformers, tabular, quantized, optimized
keras_models and real_models. The last two need the packages of requirements-keras.txt and of
requirements-real.txt, the others those of requirements.txt.
"""

import importlib
import sys

from common import Writer

if __name__ == "__main__":
    folder, group, *pattern = sys.argv[1:]
    writer = Writer(folder, *pattern)
    writer.make_all(importlib.import_module(group).MAKERS)
    print(f"{len(writer.written)} models, {len(writer.failed)} failed")
    sys.exit(bool(writer.failed))
