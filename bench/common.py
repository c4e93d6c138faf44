"""The parts that all peers share: arguments, timing, and rows in the format of neurax-bench."""

import argparse, json, math, os, time
from pathlib import Path

import numpy as np

# The suites, each with the name of the peer's function that measures it. It is called as
# `f(arguments, report)`; `steps` takes the name and the function of the network as well.
SUITES = {
    "mlp": "epochs",
    "cnn": "steps",
    "transformer": "steps",
    "resnet18": "steps",
    "lstm": "steps",
    "gpt2": "steps",
    "gpt2-decode": "decode",
    "latency": "latency",
    "eager": "eager",
    "compile": "compile_times",
    "matmul": "matmul",
    "sparse": "sparse",
    "linalg": "linalg",
    "fft": "fft",
    "sort": "sort",
    "random": "random",
}
LAYERS, WIDTH, HEADS, TOKENS, VOCABULARY = 4, 256, 4, 128, 1000
# The models of src/nets/zoo.rs: the channels of the stages of ResNet-18, the units of the LSTM, the
# largest number of tokens of GPT-2.
STAGES, UNITS, CONTEXT = [64, 128, 256, 512], 128, 256
# The sizes of src/suites/sparse.rs.
SPARSE_ROWS, DENSE_COLUMNS = 10_000, 32


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("suite", choices=SUITES)
    p.add_argument("--batch", type=int)
    p.add_argument("--seconds", type=float, default=2.0)
    p.add_argument("--samples", type=int, default=60000)
    p.add_argument(
        "--from", dest="weights", type=Path, required=True, help="folder that weights.py wrote"
    )
    p.add_argument("--compiled", action="store_true", help="use torch.compile")
    a = p.parse_args()
    a.threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
    return a


def run(a, peer):
    """Runs the selected suite; `peer` maps names to the functions of the peer."""
    task, report = SUITES[a.suite], Report(a)
    net = [a.suite, peer["NETS"][a.suite]] if task == "steps" else []
    peer[task](a, report, *net)


def digits(rng, n):
    """Returns `n` inputs of the MLP, centred around zero for the reason in src/nets/mlp.rs.

    They are scaled in place, because the peak memory is measured.
    """
    x = rng.random((n, 784), dtype=np.float32)
    x *= 2
    x -= 1
    return x


def repeat(seconds, call):
    """Returns the seconds per call, one value per timed block of calls, as src/clock.rs does."""
    call()
    warm, calls = time.perf_counter(), 0
    while calls == 0 or time.perf_counter() - warm < seconds / 10:
        call()
        calls += 1
    block = min(100_000, max(1, math.ceil(50e-6 / ((time.perf_counter() - warm) / calls))))
    start, figures = time.perf_counter(), []
    while len(figures) < 5 or time.perf_counter() - start < seconds:
        t = time.perf_counter()
        for _ in range(block):
            call()
        figures.append((time.perf_counter() - t) / block)
    return figures


def once(call):
    """Returns the seconds of one call."""
    t = time.perf_counter()
    call()
    return time.perf_counter() - t


class Report:
    def __init__(self, a):
        self.a = a

    def row(self, task, batch, unit, figures):
        figures = sorted(figures)
        row = dict(
            task=task,
            batch=batch,
            threads=self.a.threads,
            median=figures[len(figures) // 2],
            min=figures[0],
            max=figures[-1],
            unit=unit,
        )
        print(json.dumps(row, ensure_ascii=False), flush=True)

    def micros(self, task, batch, call):
        self.row(task, batch, "µs", [t * 1e6 for t in repeat(self.a.seconds, call)])

    def millis(self, task, batch, call):
        self.row(task, batch, "ms", [t * 1e3 for t in repeat(self.a.seconds, call)])

    def rate(self, task, batch, unit, amount, call):
        self.row(task, batch, unit, [amount / t for t in repeat(self.a.seconds, call)])

    def losses(self, net, batch, losses):
        for i, loss in enumerate(losses):
            self.row(f"{net}-loss-{i + 1}", batch, "nats", [loss])

    def memory(self, batch, data):
        """Prints the peak memory of this process less the data set, where the system reports it."""
        status = Path("/proc/self/status")
        if status.exists():
            peak = next(
                int(l.split()[1]) * 1024
                for l in status.read_text().splitlines()
                if l.startswith("VmHWM")
            )
            self.row("mlp-memory", batch, "MB", [max(0, peak - data) / 1e6])
