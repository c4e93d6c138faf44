"""Writes the tests of ONNX backends of the installed `onnx` package: the node tests, which it
computes, and the `simple` and `pytorch` models that it contains.

    python3 -m venv .venv && .venv/bin/pip install -r requirements.txt
    .venv/bin/python write.py FOLDER

A test is a folder `NAME` with `model.onnx` and `test_data_set_K/{input,output}_J.pb`.
"""

import os, shutil, sys, warnings
import onnx
from onnx import TensorProto, numpy_helper
from onnx.backend.test.case.node import collect_testcases


def message(x, info):
    """Returns the message of a value of the declared type."""
    if isinstance(x, TensorProto):
        return x
    kind = info.type.WhichOneof("value")
    of = {"sequence_type": "from_list", "optional_type": "from_optional", "map_type": "from_dict"}
    return getattr(numpy_helper, of.get(kind, "from_array"))(x, info.name)


def write_case(case, folder):
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(case.model.SerializeToString())
    for k, data in enumerate(case.data_sets):
        at = os.path.join(folder, f"test_data_set_{k}")
        os.makedirs(at, exist_ok=True)
        graph = case.model.graph
        for kind, values, infos in zip(["input", "output"], data, [graph.input, graph.output]):
            for j, x in enumerate(values):
                with open(os.path.join(at, f"{kind}_{j}.pb"), "wb") as file:
                    file.write(message(x, infos[j]).SerializeToString())


def main():
    out = sys.argv[1]
    warnings.simplefilter("ignore")
    cases = collect_testcases(op_type=None)
    for case in cases:
        write_case(case, os.path.join(out, "node", case.name))
    data = os.path.join(os.path.dirname(onnx.__file__), "backend", "test", "data")
    count = 0
    for kind in ["simple", "pytorch-converted", "pytorch-operator"]:
        for name in sorted(os.listdir(os.path.join(data, kind))):
            shutil.copytree(
                os.path.join(data, kind, name), os.path.join(out, kind, name), dirs_exist_ok=True
            )
            count += 1
    print(f"{len(cases)} node tests, {count} others")


if __name__ == "__main__":
    main()
