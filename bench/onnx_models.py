"""Times ONNX models in Neurax, ONNX Runtime, tract and rten, and writes a part of BENCHMARKS.md.

    cargo build --release -p neurax-cli
    cargo build --release --manifest-path bench/onnx_peers/Cargo.toml
    python3 bench/onnx_models.py --program target/release/neurax FOLDER..

A folder has `model.onnx` and `test_data_set_0/input_*.pb`, as `scripts/onnx-models.sh` makes them.
Needs the packages `onnx` and `onnxruntime`, whose library the crate `ort` loads, too. A round runs
each program once, in a new process; the table has the medians of the rounds' medians, and the
smallest times to the first result, in which a program loads the model and computes one result. The
last column is the peak memory of the process. `run_into` is `Predictor::run_into`, which writes
into memory of the caller, in a process apart; the other columns return new tensors. `--no-peers`
measures ONNX Runtime in Python alone.
"""

import argparse, importlib.metadata, importlib.util, json, os, resource, subprocess, sys, tempfile
from pathlib import Path
from statistics import geometric_mean, median

TITLE = "## ONNX models"
PACKAGE = Path(__file__).parent / "onnx_peers"
# The programs in the order of the columns, with their titles.
COLUMNS = {
    "neurax": "Neurax",
    "run_into": "`run_into`",
    "python": "ONNX Runtime",
    "ort": "`ort`",
    "tract": "tract",
    "rten": "rten",
}
# The seconds after which a program that has no result is stopped.
TIMEOUT = 600


def versions():
    """Returns the crates of the peers with their versions, from their lock file."""
    blocks = (PACKAGE / "Cargo.lock").read_text(encoding="utf-8").split("[[package]]")
    pairs = [dict(l.split(" = ", 1) for l in b.splitlines() if " = " in l) for b in blocks[1:]]
    found = {p["name"].strip('"'): p["version"].strip('"') for p in pairs}
    return ", ".join(f"{name} {found[name]}" for name in ["ort", "tract-onnx", "rten"])


def compared(columns):
    """Returns the programs whose first results and memory the table has."""
    return [c for c in ["neurax", "python", "ort"] if c in columns]


def processor():
    """Returns the name of the processor, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]}, " if names else ""


def head(a, columns):
    """Returns the lines above the rows."""
    peers = f", {versions()}" if "ort" in columns else ""
    return [
        TITLE,
        "",
        f"{processor()}{a.threads} threads, {a.rounds} rounds of {a.seconds} s: "
        "microseconds for a call, "
        f"Neurax, onnxruntime {importlib.metadata.version('onnxruntime')} in Python{peers}.",
        "The ratio is the time of ONNX Runtime, the shorter one if there are two, divided by that "
        "of Neurax: above 1, Neurax is faster.",
        "The first result includes loading and compiling, in ms, and the last column is the peak "
        "memory of the process in MB; both are those of "
        + ", ".join(COLUMNS[c] for c in compared(columns)) + ".",
        "",
        "| model | " + " | ".join(COLUMNS[c] for c in columns)
        + " | ratio | first result | memory |",
        "|---" * (len(columns) + 4) + "|",
    ]


def inputs_of(folder):
    """Returns the inputs of the first data set by name."""
    import onnx
    from onnx import numpy_helper

    arrays = {}
    model = onnx.load(folder / "model.onnx", load_external_data=False)
    given = {x.name for x in model.graph.initializer}
    names = [x.name for x in model.graph.input if x.name not in given]
    for i, path in enumerate(sorted((folder / "test_data_set_0").glob("input_*.pb"))):
        tensor = onnx.TensorProto.FromString(path.read_bytes())
        arrays[tensor.name or names[i]] = numpy_helper.to_array(tensor)
    return arrays


def run_onnxruntime(folder, threads, seconds):
    """Prints the times of ONNX Runtime as JSON; runs in a new process."""
    import time
    import onnxruntime

    arrays = inputs_of(folder)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 3
    start = time.perf_counter()
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(folder / "model.onnx", options, providers=providers)
    session.run(None, arrays)
    first, times, begin = time.perf_counter() - start, [], time.perf_counter()
    while len(times) < 5 or time.perf_counter() - begin < seconds:
        start = time.perf_counter()
        session.run(None, arrays)
        times.append(time.perf_counter() - start)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    found = {"median_us": median(times) * 1e6, "first_result_us": first * 1e6, "peak": peak}
    print(json.dumps(found))


def times(command, a):
    """Runs a program that prints JSON in its last line; returns it with the peak memory, or the
    reason why the program failed as `error`."""
    environment = {**os.environ, "NEURAX_THREADS": str(a.threads)}
    # The peak of the children is that of the largest one: another process measures one program.
    script = "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; " \
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024); sys.exit(code)"
    done = subprocess.run(["timeout", str(TIMEOUT), sys.executable, "-c", script,
                           *map(str, command)], capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        return {"error": lines[-1] if lines else f"exit status {done.returncode}"}
    *_, result, peak = done.stdout.strip().splitlines()
    found = json.loads(result)
    if "predictor_error" in found:
        return {"error": found["predictor_error"]}
    # The times of a predictor alone are below the name of the call.
    return {"peak": int(peak), **found, **found.get("run_into", {})}


def library():
    """Returns the path of the library in the package `onnxruntime`."""
    folder = Path(importlib.util.find_spec("onnxruntime").origin).parent / "capi"
    names = ["libonnxruntime.so*", "libonnxruntime*.dylib", "onnxruntime.dll"]
    return next(path for name in names for path in sorted(folder.glob(name)))


def commands(a, folder, columns, to):
    """Returns the command of each program; the inputs are written to the folder `to`."""
    import numpy

    given = []
    for i, (name, array) in enumerate(inputs_of(folder).items()):
        path = Path(to) / f"{i}.npy"
        numpy.save(path, array)
        given += ["--input", f"{name}={path}"]
    model, seconds = folder / "model.onnx", ["--seconds", a.seconds]
    threads = ["--threads", a.threads, *seconds]
    neurax = [a.program, "onnx", "bench", model, "--json", *seconds, *given, "--call"]
    all = {
        "neurax": [*neurax, "session"],
        "run_into": [*neurax, "predictor"],
        "python": [sys.executable, __file__, folder, "--onnxruntime", *threads],
    }
    for peer in columns[3:]:
        all[peer] = [a.peers, peer, model, *threads, *given]
        if peer == "ort":
            all[peer] += ["--library", library()]
    return all


def measured(a, folder, columns):
    """Returns the results of each program, one for each round, or its error."""
    found = {c: [] for c in columns}
    with tempfile.TemporaryDirectory() as to:
        programs = commands(a, folder, columns, to)
        for _ in range(a.rounds):
            for c in columns:
                if not any("error" in x for x in found[c]):
                    found[c].append(times(programs[c], a))
    for c in ["neurax", "python"]:
        if "error" in found[c][-1]:
            sys.exit(f"{folder.name} in {COLUMNS[c]}: {found[c][-1]['error']}")
    return found


def row(folder, columns, found, notes):
    """Returns the row of a model and its ratio; adds the errors of peers to `notes`."""
    has = [c for c in columns if "error" not in found[c][-1]]
    us = {c: median(x["median_us"] for x in found[c]) for c in has}
    cells = []
    for c in columns:
        if c not in has:
            why = " ".join(found[c][-1]["error"].split())
            notes.append(f"{COLUMNS[c]} on {folder.name}: {why[:200].replace('|', '/')}")
        cells.append(f"{us[c]:.4g}" if c in has else f"- ({len(notes)})")
    least = lambda key, unit: ", ".join(
        f"{min(x[key] for x in found[c]) / unit:.0f}" for c in compared(has)
    )
    ratio = min(us[c] for c in ["python", "ort"] if c in has) / us["neurax"]
    cells += [f"{ratio:.2f} ×", least("first_result_us", 1e3), least("peak", 1e6)]
    return f"| {folder.name} | {' | '.join(cells)} |", ratio


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folders", nargs="+", type=Path)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=1.5)
    p.add_argument("--program", default="target/release/neurax")
    p.add_argument("--peers", type=Path, default=PACKAGE / "target/release/onnx-peers")
    p.add_argument("--no-peers", action="store_true", help="measure ONNX Runtime in Python alone")
    p.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "BENCHMARKS.md")
    p.add_argument("--onnxruntime", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.onnxruntime:
        return run_onnxruntime(a.folders[0], a.threads, a.seconds)
    columns = list(COLUMNS)[:3] if a.no_peers else list(COLUMNS)
    if not a.no_peers and not a.peers.exists():
        sys.exit(f"expected the program {a.peers}; build it as the header of this file says, or "
                 "use --no-peers")
    lines, ratios, notes = head(a, columns), [], []
    for folder in a.folders:
        line, ratio = row(folder, columns, measured(a, folder, columns), notes)
        lines.append(line)
        ratios.append(ratio)
        print(line, flush=True)
    lines += ["", f"The geometric mean of the ratios is {geometric_mean(ratios):.2f}."]
    if notes:
        lines += ["", "What has no time failed:", ""]
        lines += [f"{i}. {note}" for i, note in enumerate(notes, 1)]
    before = a.out.read_text(encoding="utf-8").partition("\n" + TITLE + "\n")[0]
    a.out.write_text("\n".join([before.rstrip("\n"), "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
