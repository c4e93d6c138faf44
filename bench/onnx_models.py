"""Times ONNX models in Neurax and in ONNX Runtime, and writes a part of BENCHMARKS.md.

    cargo build --release -p neurax-cli
    python3 bench/onnx_models.py --program target/release/neurax FOLDER..

A folder has `model.onnx` and `test_data_set_0/input_*.pb`, as `scripts/onnx-models.sh` makes them.
Needs the packages `onnx` and `onnxruntime`. A round runs each program once, in a new process; the
table has the medians of the rounds' medians, and the smallest times to the first result, in
which a program loads the model and computes one result. The last column is the peak memory of the
process: that of ONNX Runtime includes Python.
"""

import argparse, importlib.metadata, json, os, resource, subprocess, sys, tempfile
from pathlib import Path
from statistics import geometric_mean, median

TITLE = "## ONNX models"


def head(a):
    """Returns the lines above the rows."""
    return [
        TITLE,
        "",
        f"{a.threads} threads, {a.rounds} rounds of {a.seconds} s: microseconds for a call, Neurax "
        f"and onnxruntime {importlib.metadata.version('onnxruntime')}.",
        "The ratio is the time of ONNX Runtime divided by that of Neurax: above 1, Neurax is "
        "faster.",
        "The first result includes loading and compiling, in ms; the last column is the peak "
        "memory of the process in MB, that of ONNX Runtime with Python.",
        "",
        "| model | Neurax | ONNX Runtime | ratio | first result | memory |",
        "|---|---|---|---|---|---|",
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


def times(command, threads):
    """Runs a program that prints JSON in its last line; returns it with the peak memory."""
    environment = {**os.environ, "NEURAX_THREADS": str(threads)}
    # The peak of the children is that of the largest one: another process measures one program.
    script = "import resource, subprocess, sys; code = subprocess.run(sys.argv[1:]).returncode; " \
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024); sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", script, *map(str, command)],
                          capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))}\n{done.stdout}{done.stderr}")
    *_, result, peak = done.stdout.strip().splitlines()
    return {"peak": int(peak), **json.loads(result)}


def neurax_command(program, folder, arrays, to, seconds):
    import numpy

    command = [program, "onnx", "bench", folder / "model.onnx", "--seconds", seconds, "--json"]
    for i, (name, array) in enumerate(arrays.items()):
        path = Path(to) / f"{i}.npy"
        numpy.save(path, array)
        command += ["--input", f"{name}={path}"]
    return command


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("folders", nargs="+", type=Path)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=float, default=1.5)
    p.add_argument("--program", default="target/release/neurax")
    p.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "BENCHMARKS.md")
    p.add_argument("--onnxruntime", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.onnxruntime:
        return run_onnxruntime(a.folders[0], a.threads, a.seconds)
    lines, ratios = head(a), []
    for folder in a.folders:
        found = {"neurax": [], "peer": []}
        with tempfile.TemporaryDirectory() as to:
            own = neurax_command(a.program, folder, inputs_of(folder), to, a.seconds)
            peer = [sys.executable, __file__, folder, "--threads", a.threads, "--seconds",
                    a.seconds, "--onnxruntime"]
            for _ in range(a.rounds):
                found["neurax"].append(times(own, a.threads))
                found["peer"].append(times(peer, a.threads))
        pick = lambda which, key, f: f(x[key] for x in found[which])
        us = {w: pick(w, "median_us", median) for w in found}
        first = {w: pick(w, "first_result_us", min) / 1e3 for w in found}
        peak = {w: pick(w, "peak", min) / 1e6 for w in found}
        ratios.append(us["peer"] / us["neurax"])
        both = lambda x: f"{x['neurax']:.0f}, {x['peer']:.0f}"
        lines.append(
            f"| {folder.name} | {us['neurax']:.4g} | {us['peer']:.4g} | {ratios[-1]:.2f} × "
            f"| {both(first)} | {both(peak)} |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"The geometric mean of the ratios is {geometric_mean(ratios):.2f}."]
    before = a.out.read_text(encoding="utf-8").partition("\n" + TITLE + "\n")[0]
    a.out.write_text("\n".join([before.rstrip("\n"), "", *lines, ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
