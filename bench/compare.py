"""Compares Neurax with PyTorch, JAX, NumPy and SciPy, and writes BENCHMARKS.md.

    python3.11 -m venv .venv && .venv/bin/pip install -r bench/requirements.txt
    .venv/bin/python bench/compare.py --threads 2

All frameworks have the same threads, initial weights and batches. Each suite of each framework runs
in its own process, on the same cores, one after the other; a round runs each of them once. The page
shows the median of the medians of the rounds, with the smallest and the largest of them. The losses
of the first steps must agree, or nothing is written.
"""

import argparse, importlib.metadata, json, os, platform, subprocess, sys, tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

import onnx_models, weights

HERE, ROOT = Path(__file__).parent, Path(__file__).parent.parent
JOBS = [
    ("mlp", 32),
    ("mlp", 128),
    ("mlp", 1024),
    ("cnn", 128),
    ("transformer", 8),
    ("resnet18", 32),
    ("lstm", 32),
    ("gpt2", 8),
    ("gpt2-decode", 1),
    ("latency", None),
    ("eager", None),
    ("matmul", None),
    ("sparse", None),
    ("compile", None),
    ("linalg", None),
    ("fft", None),
    ("sort", None),
    ("random", None),
]
# The suites of functions of tensors; all others are of networks.
FUNCTIONS = {"linalg", "fft", "sort", "random", "sparse"}
TASKS_OF_FUNCTIONS = set()
PEERS = {
    "PyTorch": ["peer_torch.py"],
    "torch.compile": ["peer_torch.py", "--compiled"],
    "JAX": ["peer_jax.py"],
    "NumPy": ["peer_numpy.py"],
}
# The peers that have tasks of networks, and of functions.
PEERS_OF_NETWORKS, PEERS_OF_FUNCTIONS = ["PyTorch", "torch.compile", "JAX"], ["JAX", "NumPy"]
# Suites that torch.compile does not affect, and `lstm`, whose compiled form fails in torch 2.15.
NOT_COMPILED = {"eager", "matmul", "lstm"}
# The largest relative difference of losses. Sums of f32 are rounded in another order; max-pooling
# may choose another one of two nearly equal values; and Adam's first steps are as large for
# gradients that are only rounding noise as for others. Observed: 4e-7, with convolutions 1e-4.
TOLERANCE = 1e-3


def arguments():
    p = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument(
        "--seconds",
        type=float,
        default=2.0,
        help="seconds for which each task is repeated in a round",
    )
    p.add_argument("--samples", type=int, default=60000, help="examples in an epoch of the MLP")
    p.add_argument(
        "--suites",
        nargs="+",
        default=sorted({s for s, _ in JOBS}),
        choices=sorted({s for s, _ in JOBS}),
        help="suites to run",
    )
    p.add_argument("--peers", nargs="*", default=list(PEERS), choices=list(PEERS))
    p.add_argument("--binary", type=Path, help="path of a built neurax-bench")
    p.add_argument("--out", type=Path, default=ROOT / "BENCHMARKS.md")
    return p.parse_args()


def build():
    command = [
        "cargo",
        "build",
        "--profile",
        "bench",
        "-p",
        "neurax-bench",
        "--features",
        "rayon",
        "--message-format=json-render-diagnostics",
    ]
    out = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    made = (json.loads(line).get("executable") for line in out.splitlines())
    return Path([m for m in made if m][-1])


def run(command, threads):
    """Runs a command on the first `threads` cores and returns the rows that it prints."""
    cores = sorted(os.sched_getaffinity(0))[:threads]
    counts = {
        name: str(threads)
        for name in ["NEURAX_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"]
    }
    env = os.environ | counts | {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        command,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode != 0:
        sys.exit(f"failed: {' '.join(map(str, command))}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def commands(a, suite, batch, binary, folder):
    """Returns the command of each framework that has this suite."""
    options = ["--seconds", a.seconds, "--samples", a.samples] + (
        ["--batch", batch] if batch else []
    )
    file = ["--from", weights.path(folder, suite, batch)] if suite in weights.STEPS else []
    found = {"Neurax": [binary, suite, "--json", *options, *file]}
    for peer in peers(a, suite in FUNCTIONS):
        if not (peer == "torch.compile" and suite in NOT_COMPILED) and not (
            peer == "PyTorch" and suite == "compile"
        ):
            script, *more = PEERS[peer]
            found[peer] = [sys.executable, HERE / script, suite, *more, *options, "--from", folder]
    return {name: [str(part) for part in command] for name, command in found.items()}


def peers(a, is_functions):
    """Returns the selected peers that have tasks of networks, or of functions."""
    return [p for p in a.peers if p in (PEERS_OF_FUNCTIONS if is_functions else PEERS_OF_NETWORKS)]


def measure(a, binary, folder):
    """Returns all rows by (task, batch) and framework, one for each round."""
    rows = defaultdict(lambda: defaultdict(list))
    jobs = [(suite, batch) for suite, batch in JOBS if suite in a.suites]
    for net, batch in {(s, b) for s, b in jobs if b} | set(weights.USUAL.items()):
        weights.write(folder, net, batch)
    for turn in range(a.rounds):
        for suite, batch in jobs:
            for name, command in commands(a, suite, batch, binary, folder).items():
                print(
                    f"round {turn + 1} of {a.rounds}: {suite} {batch or ''} {name}",
                    file=sys.stderr,
                    flush=True,
                )
                for row in run(command, a.threads):
                    rows[row["task"], row["batch"]][name].append(row)
                    if suite in FUNCTIONS:
                        TASKS_OF_FUNCTIONS.add(row["task"])
    return rows


def compare_losses(rows):
    """Returns the largest relative difference of losses for each network, batch size and peer.

    Exits with an error if a difference exceeds TOLERANCE.
    """
    worst = defaultdict(float)
    for (task, batch), by in rows.items():
        if "-loss-" in task:
            net, step = task.split("-loss-")
            ours = [row["median"] for row in by.pop("Neurax")]
            for peer, theirs in by.items():
                for x, y in ((x, row["median"]) for x in ours for row in theirs):
                    # Not `>`: a NaN must not pass.
                    if not abs(x - y) <= TOLERANCE * abs(y):
                        sys.exit(
                            f"{net}, batch {batch}: the loss of step {step} is {x} in Neurax, "
                            f"{y} in {peer}"
                        )
                    key = (net, batch, peer)
                    worst[key] = max(worst[key], abs(x - y) / abs(y))
    return worst


def number(x):
    if x >= 10000:
        return f"{x:,.0f}"
    return f"{x:.4g}"


def cell(rows):
    if not rows:
        return ""
    figures = [row["median"] for row in rows]
    spread = "" if len(figures) == 1 else f" ({number(min(figures))} to {number(max(figures))})"
    return number(median(figures)) + spread


def merged(rows):
    """Returns the rows without losses, with `gemm-N` as another peer of `matmul-N`."""
    table = {key: dict(by) for key, by in rows.items() if "-loss-" not in key[0]}
    for (task, batch), by in list(table.items()):
        if task.startswith("gemm-"):
            table["matmul-" + task.removeprefix("gemm-"), batch]["gemm crate"] = table.pop(
                (task, batch)
            )["Neurax"]
    return table


def ratio(table, task, batch, others):
    """Returns the ratio of Neurax to the best of the others.

    Above 1, Neurax is faster or needs less memory. For epochs, the best of a peer is that of both
    ways: as one function, or with a call per batch.
    """
    ways = ["mlp-train", "mlp-train-steps"] if task.startswith("mlp-train") else [task]
    rows = [table.get((way, batch), {}).get(o) for way in ways for o in others]
    theirs = [median(row["median"] for row in r) for r in rows if r]
    ours = table[task, batch].get("Neurax")
    if not theirs or not ours:
        return ""
    middle = median(row["median"] for row in ours)
    best = (
        middle / max(theirs) if ours[0]["unit"].endswith("/s") else min(theirs) / max(middle, 1e-9)
    )
    return f"{best:.2f} ×"


def table_of(a, rows, is_functions):
    """Returns the lines of the method and the table of the suites of networks, or of functions."""
    table = merged(rows)
    names = peers(a, is_functions)
    frameworks = ["Neurax", *names] + (
        ["gemm crate"] if any("gemm crate" in by for by in table.values()) else []
    )
    cpu = next(
        (l.split(":")[1].strip() for l in open("/proc/cpuinfo") if l.startswith("model name")),
        platform.processor(),
    )
    device = {row.get("device") for by in table.values() for row in by.get("Neurax", [])}
    used = ["numpy", "scipy", "jax"] if is_functions else ["torch", "jax", "optax"]
    packages = ", ".join(f"{p} {importlib.metadata.version(p)}" for p in used)
    epochs = "" if is_functions else f"; epochs of {a.samples:,} examples"
    lines = [
        f"{cpu}, {a.threads} threads of {os.cpu_count()} cores; {platform.system()}, "
        f"Python {platform.python_version()}, {packages}; "
        f"Neurax on {', '.join(sorted(d for d in device if d))}.",
        f"{a.rounds} rounds, each task repeated for {a.seconds:g} s in each{epochs}.",
        "",
        "| task | batch | unit | " + " | ".join(frameworks) + " | ratio |",
        "|" + "---|" * (4 + len(frameworks)),
    ]
    for (task, batch), by in table.items():
        unit = next(iter(by.values()))[0]["unit"]
        cells = [cell(by.get(f)) for f in frameworks]
        lines.append(
            f"| {task} | {batch} | {unit} | "
            + " | ".join(cells)
            + f" | {ratio(table, task, batch, frameworks[1:])} |"
        )
    return lines


def networks_part(a, rows, worst):
    """Returns the lines of the suites of networks."""
    lines = [*table_of(a, rows, False), "", NOTES]
    if worst:
        lines += [
            AGREEMENT,
            "",
            "The losses of the first steps, from the same weights on the same batches.",
            "The difference is relative to the peer's loss; "
            f"if one exceeds {TOLERANCE:g}, this page is not written.",
            "",
        ]
        lines += ["| network | batch | peer | largest difference |", "|---|---|---|---|"]
        lines += [
            f"| {net} | {batch} | {peer} | {diff:.1e} |"
            for (net, batch, peer), diff in worst.items()
        ]
    return lines


def epochs_part(a, rows):
    """Returns the lines of the epochs of the dense classifier."""
    return [*table_of(a, rows, False), "", EPOCH_NOTES]


def functions_part(a, rows):
    """Returns the lines of the suites of functions."""
    return [FUNCTIONS_TITLE, "", FUNCTION_NOTES, "", *table_of(a, rows, True)]


def tables(lines):
    """Returns the rows of the tables of a part by their title line, each row by its first cells.

    The key of a row is its task or network with the batch, and the peer of a loss.
    """
    found, title = {}, None
    for line, following in zip(lines, [*lines[1:], ""]):
        if following.startswith("|---"):
            title, found[line] = line, {}
        elif not line.startswith("|"):
            title = None
        elif title and not line.startswith("|---"):
            cells = 4 if title.startswith("| network") else 3
            found[title]["|".join(line.split("|")[:cells])] = line
    return found


def with_old_rows(new, old):
    """Returns the lines of a part with the rows of `old` whose tasks were not measured.

    They are kept if the machine, the versions and the method are the same, the first two lines. A
    table with other columns replaces the old one.
    """
    if new[:2] != old[:2]:
        return new
    before, measured, lines = tables(old), tables(new), []
    for line in new:
        if line in measured:
            rows, last = dict(before.get(line, {})), None
            for key, row in measured[line].items():
                rows = inserted(rows, key, row, last)
                last = key
            lines += [line, "|" + "---|" * (line.count("|") - 1), *rows.values()]
        elif not line.startswith("|"):
            lines.append(line)
    if AGREEMENT in old and AGREEMENT not in new:
        lines += old[old.index(AGREEMENT) :]
    return lines


def inserted(rows, key, row, last):
    """Returns `rows` with a row in its place, or behind that of `last` if it is new."""
    if key in rows or last is None:
        return {**rows, key: row}
    out = {}
    for k, r in rows.items():
        out[k] = r
        if k == last:
            out[key] = row
    return out


def page(a, rows, worst, old):
    """Returns the page. Parts and rows that were not measured stay as they are in `old`."""
    old, title, models = old.partition("\n" + onnx_models.TITLE + "\n")
    before, _, after = old.partition("\n" + FUNCTIONS_TITLE + "\n")
    before, _, epochs = before.partition("\n" + EPOCHS_TITLE + "\n")
    networks = before.removeprefix("\n".join(HEAD) + "\n").rstrip("\n").split("\n")
    epochs = epochs.strip("\n").split("\n") if epochs else []
    functions = [FUNCTIONS_TITLE, *after.rstrip("\n").split("\n")] if after else []
    parts = defaultdict(dict)
    for key, by in rows.items():
        is_function, is_epoch = key[0] in TASKS_OF_FUNCTIONS, key[0] in EPOCHS
        parts["functions" if is_function else "epochs" if is_epoch else "networks"][key] = by
    if parts["networks"] and set(a.suites) != {"mlp"}:
        measured = networks_part(a, parts["networks"], worst)
        # A page of all suites has no rows of tasks that are gone.
        is_whole = {s for s, _ in JOBS} == set(a.suites)
        networks = measured if is_whole else with_old_rows(measured, networks)
    if parts["epochs"]:
        epochs = with_old_rows(epochs_part(a, parts["epochs"]), epochs)
    if parts["functions"]:
        functions = functions_part(a, parts["functions"])
    epochs = [EPOCHS_TITLE, "", *epochs, ""] if epochs else []
    lines = [*HEAD, *networks, "", *epochs, *functions]
    return "\n".join(lines).rstrip("\n") + "\n" + title + models


HEAD = [
    "# Benchmarks",
    "",
    "This page is generated by `bench/compare.py` and `bench/onnx_models.py`, whose headers "
    "describe the methods; do not edit it.",
    "The values are medians of the rounds' medians, with the smallest and largest in brackets.",
    "The ratio compares Neurax with the best of the others: above 1, Neurax is faster or needs "
    "less memory.",
    "`docs/performance.md` explains what limits each task.",
    "",
]
AGREEMENT = "## Agreement of the losses"
FUNCTIONS_TITLE = "## Functions of tensors"
EPOCHS_TITLE = "## Epochs of the dense classifier"
EPOCHS = {"mlp-train", "mlp-memory", "mlp-train-steps", "mlp-trainer"}
FUNCTION_NOTES = (
    "Factorizations are in f64, `cholesky-4` of 100,000 matrices of 4 x 4; transforms in c64, the "
    "others in f32.\n"
    "Sparse matrices have 10,000 rows and columns and 1 % of the elements; the dense operand has 1 "
    "or 32 columns.\n"
    "NumPy stands for NumPy and SciPy, whose transforms take all threads."
)
EPOCH_NOTES = (
    "`mlp-train` is an epoch of shuffled examples: one compiled `scan` in Neurax and JAX, a "
    "loop over batches in PyTorch.\n"
    "`mlp-train-steps` is an epoch with one call per batch, `mlp-trainer` one of a `Trainer` with "
    "`steps_per_call(usize::MAX)`; the ratio of each is to the peers' best of both ways.\n"
    "`mlp-memory` is the peak resident memory of the process by the end of its epochs, less "
    "the data set."
)
NOTES = (
    "`NAME-train` is a training step with Adam, `NAME-infer` a call with constant weights.\n"
    "`sparse-matvec` and `sparse-matmul` multiply a matrix of 10,000 rows and columns, 1 % of "
    "whose elements are stored, with a vector and with 32 columns.\n"
    "`NAME-compile` is the time to trace and compile a training step, in a new process.\n"
)


def main():
    a = arguments()
    binary = (a.binary or build()).resolve()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(a, binary, Path(folder))
    worst = compare_losses(rows)
    old = a.out.read_text(encoding="utf-8") if a.out.exists() else ""
    a.out.write_text(page(a, rows, worst, old), encoding="utf-8")
    print(f"written: {a.out}")


if __name__ == "__main__":
    main()
