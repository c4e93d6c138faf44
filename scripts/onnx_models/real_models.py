"""Models with trained weights from packages of PyPI: voices, ends of speech, texts in images and
types of files. The packages are in target/onnx-real-models/packages, where
scripts/onnx-real-models.sh puts them; they are not installed. Inputs are random."""

import tarfile
import zipfile
from pathlib import Path

import numpy as np

from common import Data, randoms

PACKAGES = Path(__file__).parents[2] / "target/onnx-real-models/packages"


def content(package, file):
    """Returns the content of a file in an archive of a package."""
    for path in sorted(PACKAGES.glob(f"{package}-*")):
        if path.suffix == ".whl":
            archive = zipfile.ZipFile(path)
            names, read = archive.namelist(), archive.read
        else:
            archive = tarfile.open(path)
            names, read = archive.getnames(), lambda name: archive.extractfile(name).read()
        found = [name for name in names if name.endswith("/" + file)]
        if found:
            return read(found[0])
    raise FileNotFoundError(f"{file} of {package} in {PACKAGES}")


def of_package(package, file, inputs, **options):
    """Returns the maker of a model. `inputs` returns one set of inputs for each size, from a
    generator of random numbers."""

    def maker(path):
        path.write_bytes(content(package, file))
        sets = [(values, None) for values in inputs(randoms(7))]
        return Data(sets, is_standard=False, optimizes=False, **options)

    return maker


def floats(random, *shape):
    return random.standard_normal(shape).astype(np.float32)


def voice(rows, samples, states):
    """Returns the inputs of a detector of voices: a piece of sound, and the state before it."""

    def inputs(random):
        for n, count in zip(rows, samples):
            values = {"input": 0.1 * floats(random, n, count)}
            if states == "lstm":
                values |= {"h": floats(random, 1, 1, 128), "c": floats(random, 1, 1, 128)}
            else:
                values |= {"state": floats(random, 2, n, 128)}
                values |= {"sr": np.array(16000 if count >= 512 else 8000, np.int64)}
            yield values

    return inputs


def images(name, *shapes):
    return lambda random: [{name: floats(random, *shape)} for shape in shapes]


def files(random):
    for n in (1, 5):
        yield {"bytes": random.integers(0, 257, (n, 2048), dtype=np.int32)}


SILERO, WHISPER, OCR = "silero_vad", "faster_whisper", "rapidocr_onnxruntime"
MAKERS = [
    ("silero_vad", of_package(SILERO, "silero_vad.onnx", voice([1, 3, 1], [512, 512, 256], "one"))),
    ("silero_vad_16k_op15",
     of_package(SILERO, "silero_vad_16k_op15.onnx", voice([1, 2], [512, 512], "one"))),
    ("silero_vad_op18_ifless",
     of_package(SILERO, "silero_vad_op18_ifless.onnx", voice([1, 2], [576, 576], "one"))),
    ("silero_vad_v6",
     of_package(WHISPER, "silero_vad_v6.onnx", voice([4, 31], [576, 576], "lstm"))),
    # Of int8: a quantum of the last layer is 0.04, and behind the sigmoid at most 0.01.
    ("smart_turn_int8",
     of_package("pipecat_ai", "smart-turn-v3.2-cpu.onnx",
                images("input_features", (1, 80, 800), (2, 80, 800)), absolute=1e-2)),
    ("ppocr_det",
     of_package(OCR, "ch_PP-OCRv3_det_infer.onnx", images("x", (1, 3, 64, 96), (1, 3, 96, 160)))),
    ("ppocr_rec",
     of_package(OCR, "ch_PP-OCRv3_rec_infer.onnx", images("x", (1, 3, 48, 64), (2, 3, 48, 96)))),
    ("ppocr_cls",
     of_package(OCR, "ch_ppocr_mobile_v2.0_cls_infer.onnx",
                images("x", (1, 3, 48, 192), (3, 3, 48, 192)))),
    ("magika", of_package("magika", "model.onnx", files)),
]
