"""Compares the event files of a run with its log: check.py RUN_DIRECTORY."""

import json
import struct
import sys
from pathlib import Path

from tensorboard.backend.event_processing import event_accumulator
from tensorboard.plugins.hparams import plugin_data_pb2

run = Path(sys.argv[1])
lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
record = json.loads((run / "run.json").read_text())
events = event_accumulator.EventAccumulator(
    str(run / "events"), size_guidance={"scalars": 0, "histograms": 0, "images": 0, "tensors": 0}
)
events.Reload()


def as_f32(x):
    return struct.unpack("f", struct.pack("f", x))[0]


def scalars(tag):
    return [(e.step, e.value) for e in events.Scalars(tag)]


def expect(what, got, want):
    if got != want:
        sys.exit(f"{run}: {what}: expected {want}, got {got}")


epochs = [line for line in lines if line["event"] == "epoch"]
steps = [line for line in lines if line["event"] == "step"]
for group, part in [("train", "train"), ("validation", "validation")]:
    for name in epochs[0][part]:
        want = [(line["step"], as_f32(line[part][name])) for line in epochs]
        expect(f"{group}/{name}", scalars(f"{group}/{name}"), want)
for name in steps[0]["train"]:
    want = [(line["step"], as_f32(line["train"][name])) for line in steps]
    expect(f"steps/{name}", scalars(f"steps/{name}"), want)
want = sorted({line["step"]: as_f32(line["rate"]) for line in lines}.items())
expect("rate", sorted(dict(scalars("rate")).items()), want)
speeds = dict(scalars("examples per second"))
for line in epochs:
    want = line["examples"] / line["seconds"]
    if abs(speeds[line["step"]] / want - 1) > 1e-6:
        sys.exit(f"throughput: expected {want}, got {speeds[line['step']]}")

tags = events.Tags()
parameters = sum(layer["parameters"] for layer in record["layers"])
counted = 0
for tag in tags["histograms"]:
    found = events.Histograms(tag)
    expect(f"steps of {tag}", [h.step for h in found], [line["step"] for line in epochs])
    for h in found:
        value = h.histogram_value
        expect(f"counts of {tag}", sum(value.bucket), value.num)
        expect(f"range of {tag}", value.bucket_limit[-1], value.max)
    counted += found[-1].histogram_value.num
expect("elements of all histograms", counted, parameters)

images = tags["images"]
expect("images", images, ["digits"])
image = events.Images("digits")[-1]
# Two rows of three digits of 8 x 8 pixels, a pixel apart.
expect("size of an image", (image.width, image.height), (26, 17))
expect("start of an image", image.encoded_image_string[:8], b"\x89PNG\r\n\x1a\n")
expect("size in the image", struct.unpack(">II", image.encoded_image_string[16:24]), (26, 17))

text = events.Tensors("summary")[-1].tensor_proto.string_val[0].decode()
assert text.startswith(f"Trained for **{epochs[-1]['step']}** steps: "), text

nodes = {node.name: node for node in events.Graph().node}
paths = [layer["path"].replace(".", "/") for layer in record["layers"]]
expect("layers", sorted(nodes), sorted(paths))
for layer in record["layers"]:
    node = nodes[layer["path"].replace(".", "/")]
    expect("kind", node.op, layer["kind"])
    expect("inputs", list(node.input), [path.replace(".", "/") for path in layer["inputs"]])
    expect("output", node.attr["output"].s.decode(), layer["output"])
    expect("parameters", node.attr["parameters"].i, layer["parameters"])

hyper = {}
for tag, content in events.PluginTagToContent("hparams").items():
    hyper[tag] = plugin_data_pb2.HParamsPluginData.FromString(content)
values = hyper["_hparams_/session_start_info"].session_start_info.hparams
expect("peak rate", values["peak rate"].number_value, record["hyper_parameters"]["peak rate"])
expect("optimizer", values["optimizer"].string_value, "adam")
expect("augmented", values["augmented"].bool_value, False)
metrics = [m.name.tag for m in hyper["_hparams_/experiment"].experiment.metric_infos]
expect("metrics", metrics, [f"validation/{name}" for name in ["loss", "accuracy"]])
expect("status", hyper["_hparams_/session_end_info"].session_end_info.status, 1)

print(
    f"{run}: {len(tags['scalars'])} tags of scalars, {len(tags['histograms'])} histograms,"
    f" an image of 6 digits, a text, {len(nodes)} layers and {len(values)} hyper-parameters"
    f" of {len(epochs)} epochs equal the log"
)
