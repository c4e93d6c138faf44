"""What all peers share: arguments, the clock, rows in the form that neurax-bench prints."""

import argparse, json, math, os, time
from pathlib import Path

import numpy as np

# What can be asked for, and the function of a peer that does it: `f(arguments, report)`, for `steps` with the name of the net and the net.
SUITES = {
    "mlp": "epochs",
    "cnn": "steps",
    "transformer": "steps",
    "latency": "latency",
    "eager": "eager",
    "compile": "compile_times",
    "matmul": "matmul",
}
LAYERS, WIDTH, HEADS, TOKENS, VOCABULARY = 4, 256, 4, 128, 1000


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("suite", choices=SUITES)
    p.add_argument("--batch", type=int)
    p.add_argument("--seconds", type=float, default=2.0)
    p.add_argument("--samples", type=int, default=60000)
    p.add_argument(
        "--from", dest="weights", type=Path, required=True, help="the folder that weights.py wrote"
    )
    p.add_argument("--compiled", action="store_true", help="with torch.compile")
    a = p.parse_args()
    a.threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count()))
    return a


def run(a, peer):
    """Runs the suite that was asked for; `peer` holds the peer's functions by name."""
    task, report = SUITES[a.suite], Report(a)
    net = [a.suite, peer["NETS"][a.suite]] if task == "steps" else []
    peer[task](a, report, *net)


def digits(rng, n):
    """Inputs of the MLP, centred: src/nets/mlp.rs says why. In place, as the peak of memory is measured."""
    x = rng.random((n, 784), dtype=np.float32)
    x *= 2
    x -= 1
    return x


def repeat(seconds, call):
    """Seconds per call, one figure per block of calls: as src/clock.rs has it."""
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
        """The most memory of this process so far, beside the data set, where the system says so."""
        status = Path("/proc/self/status")
        if status.exists():
            peak = next(
                int(l.split()[1]) * 1024
                for l in status.read_text().splitlines()
                if l.startswith("VmHWM")
            )
            self.row("mlp-memory", batch, "MB", [max(0, peak - data) / 1e6])
