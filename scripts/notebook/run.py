"""Executes a notebook and checks the formats of its outputs: run.py NOTEBOOK RESULT."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

source, result = Path(sys.argv[1]), Path(sys.argv[2])
notebook = nbformat.read(source, as_version=4)
# The first cell builds the crates.
client = NotebookClient(notebook, timeout=3600, kernel_name="rust",
                        resources={"metadata": {"path": str(source.parent)}})
try:
    client.execute()
finally:
    nbformat.write(notebook, result)

failures = []
for i, cell in enumerate(notebook.cells):
    if cell.cell_type != "code":
        continue
    formats = set()
    for output in cell.outputs:
        formats |= set(output.get("data", {}))
        if output.output_type == "error":
            failures.append(f"cell {i}: {output.evalue}")
    print(f"cell {i}: {', '.join(sorted(formats)) or 'no output'}")
    missing = set(cell.metadata.get("formats", [])) - formats
    if missing:
        failures.append(f"cell {i}: expected the formats {sorted(missing)}, got {sorted(formats)}")
if failures:
    sys.exit("\n".join(failures))
