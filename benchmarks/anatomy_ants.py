# SPDX-License-Identifier: Apache-2.0
"""Bias field and tissues of ANTs (N4, Atropos) beside ours: Dice against the truth, seconds and memory.

    python benchmarks/anatomy_ants.py --python FOLDER/bin/python [--labels ../shared/data/labels]

ANTs is no dependency; ``--python`` names an interpreter that has antspyx. Each program runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# imports of bidsqa and ants stand in the functions: no interpreter has to have both
TISSUES = {"csf": 3, "gm": 1, "wm": 2}
# the tissues from dark to bright, for classes without priors; told to ANTs, while ours has to find out
ORDERS = {
    "T1w": ("csf", "gm", "wm"),
    "T2w": ("wm", "gm", "csf"),
    "FLAIR": ("csf", "wm", "gm"),
    "PDw": ("wm", "gm", "csf"),
}
BRIGHTEST = 99.5
METHODS = {
    "bidsqa": "bidsqa",
    "kmeans": "ANTs: N4, Atropos from k-means",
    "priors": "ANTs: N4, Atropos with the average head's shares as priors",
}
MISSING = (
    "antspyx isn't installed for {python}: make an environment of its own, `pip install antspyx` there, and name its "
    "interpreter with --python."
)


def draw_phantom(folder: Path, contrast: str) -> None:
    """The 1 mm phantom of ``benchmarks/anatomy.py``, unpadded, and its truth."""
    from bidsqa.simulation.phantom import make_phantom

    phantom = make_phantom(seed=0)
    save(folder, phantom.image(contrast, seed=1), phantom.truth.dseg)


def draw_held_out(folder: Path, contrast: str, labels: Path) -> None:
    """The first held-out label map, painted, and its truth."""
    from bidsqa.training.segmentation_data import class_of_label, load_maps
    from bidsqa.validation.segmentation import paint

    classes = class_of_label(labels / "labels.json")
    head = load_maps(labels, held_out=True)[0]
    volume, truth = paint(head.labels, classes, contrast, "clean", seed=0)
    save(folder, volume, np.array([0, 0, 3, 1, 2], dtype=np.uint8)[truth])


def save(folder: Path, volume: Any, truth: Any) -> None:
    """Scan and truth, for the processes that measure."""
    np.save(folder / "scan.npy", volume.data)
    np.save(folder / "spacing.npy", volume.spacing)
    np.save(folder / "truth.npy", truth)


def peak_mib() -> float:
    """Peak memory of this process so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure_bidsqa(folder: Path, contrast: str) -> dict[str, Any]:
    """All of our masks; leaves the brain and the average head's shares for ANTs."""
    from bidsqa.anatomy import delineate
    from bidsqa.anatomy.delineation import Clock
    from bidsqa.image import Volume

    volume = Volume.from_array(np.load(folder / "scan.npy"), tuple(np.load(folder / "spacing.npy")))
    before, clock = peak_mib(), Clock(time.process_time)
    anatomy = delineate(volume, threads=1, clock=clock)
    found = {"before": before, "peak": peak_mib(), "bias": clock.seconds["bias"], "tissue": clock.seconds["tissue"]}
    found["all"] = sum(clock.seconds.values())
    np.save(folder / "brain.npy", anatomy.brain)
    np.save(folder / "priors.npy", head_shares(volume))
    return found | overlaps(folder, anatomy.dseg)


def head_shares(volume: Any) -> Any:
    """CSF, grey and white matter of the average head laid over the scan, on its grid; float32, shape (3, X, Y, Z)."""
    from bidsqa.anatomy.grids import coarsen, covering, refine
    from bidsqa.anatomy.head import foreground
    from bidsqa.anatomy.segmenting import STEP_MM, place

    grid = covering(volume.shape, volume.spacing, STEP_MM)
    coarse = coarsen(volume.data, volume.spacing, grid)
    placed = place(coarse, foreground(coarse), grid)
    whole = tuple(slice(0, size) for size in volume.shape)
    return np.stack([refine(share, placed.grid, volume.spacing, whole) for share in placed.prior[2:]])


def measure_ants(folder: Path, contrast: str, start: Callable[[Path, Any], dict[str, Any]]) -> dict[str, Any]:
    """N4 and Atropos in our brain mask; ``start`` gives how Atropos begins."""
    import ants

    spacing = tuple(np.load(folder / "spacing.npy").tolist())
    scan, brain = np.load(folder / "scan.npy"), np.load(folder / "brain.npy")
    # a few voxels of fat at the mask's rim would be a class of their own, and all of the brain another
    scan = np.minimum(scan, np.percentile(scan[brain != 0], BRIGHTEST))
    image = ants.from_numpy(scan.astype(np.float32), spacing=spacing)
    mask = ants.from_numpy(brain.astype(np.float32), spacing=spacing)
    options = start(folder, spacing)
    before, began = peak_mib(), time.process_time()
    convergence = {"iters": [50, 50, 50, 50], "tol": 1e-7}
    corrected = ants.n4_bias_field_correction(image, mask=mask, shrink_factor=4, convergence=convergence)
    middle = time.process_time()
    result = ants.atropos(a=corrected, x=mask, c="[5,0]", **options)
    found = {"before": before, "peak": peak_mib(), "bias": middle - began, "tissue": time.process_time() - middle}
    found["all"] = found["bias"] + found["tissue"]
    # classes from k-means are numbered from dark to bright, those from priors as the priors
    names = ORDERS[contrast] if isinstance(options["i"], str) else tuple(TISSUES)
    labels = np.array([0, *(TISSUES[name] for name in names)], dtype=np.uint8)
    return found | overlaps(folder, labels[np.rint(result["segmentation"].numpy()).astype(int)])


def from_kmeans(folder: Path, spacing: Any) -> dict[str, Any]:
    """Atropos without priors."""
    return {"i": "KMeans[3]", "m": "[0.1,1x1x1]"}


def from_priors(folder: Path, spacing: Any) -> dict[str, Any]:
    """Atropos with priors, weighted and smoothed as MRIQC has it."""
    import ants

    priors = [ants.from_numpy(share, spacing=spacing) for share in np.load(folder / "priors.npy")]
    return {"i": priors, "m": "[0.01,1x1x1]", "priorweight": 0.1}


def overlaps(folder: Path, found: Any) -> dict[str, float]:
    """Dice of the brain and each tissue."""
    truth = np.load(folder / "truth.npy")
    pairs = {"brain": (found > 0, truth > 0)}
    pairs |= {name: (found == label, truth == label) for name, label in TISSUES.items()}
    return {
        name: 2.0 * float(np.count_nonzero(ours & theirs)) / (np.count_nonzero(ours) + np.count_nonzero(theirs))
        for name, (ours, theirs) in pairs.items()
    }


PARTS: dict[str, Callable[[Path, str], dict[str, Any]]] = {
    "bidsqa": measure_bidsqa,
    "kmeans": lambda folder, contrast: measure_ants(folder, contrast, from_kmeans),
    "priors": lambda folder, contrast: measure_ants(folder, contrast, from_priors),
}


def child(python: str, part: str, folder: Path, options: argparse.Namespace, *more: str) -> dict[str, Any]:
    """One part in a process of its own, on one thread; its results."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    command = [python, __file__, "--part", part, "--folder", str(folder), "--contrast", options.contrast, *more]
    # ANTs leaves its priors in the folder for temporary files
    settings = dict.fromkeys(names, "1") | {"TMPDIR": str(folder)}
    subprocess.run(command, check=True, env={**os.environ, **settings})
    path = folder / f"{part}.json"
    return json.loads(path.read_text()) if path.is_file() else {}


def run_part(options: argparse.Namespace) -> None:
    """What a child process does."""
    if options.part == "phantom":
        draw_phantom(options.folder, options.contrast)
    elif options.part == "held-out":
        draw_held_out(options.folder, options.contrast, options.labels)
    else:
        found = PARTS[options.part](options.folder, options.contrast)
        (options.folder / f"{options.part}.json").write_text(json.dumps(found))


def measure_all(options: argparse.Namespace, image: str) -> list[list[Any]]:
    """The rows of one image. Drawn in a child: memory of this process would count in its children's peak."""
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        child(sys.executable, image, folder, options, "--labels", str(options.labels))
        for part, name in METHODS.items():
            found = child(sys.executable if part == "bidsqa" else options.python, part, folder, options)
            seconds = [round(found[key], 1) for key in ("bias", "tissue", "all")]
            memory = [round(found["peak"]), round(found["peak"] - found["before"])]
            rows.append([image, name, *seconds, *memory, *(round(found[key], 3) for key in ("brain", *TISSUES))])
    return rows


def main() -> int:
    """Measure, print and write; 1 without ANTs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="an interpreter that has antspyx")
    parser.add_argument("--contrast", default="T1w", choices=sorted(ORDERS))
    parser.add_argument("--labels", type=Path, default=Path("../shared/data/labels"))
    parser.add_argument("--table", type=Path, default=Path("docs/benchmark_tables/anatomy_ants.json"))
    parser.add_argument("--part", choices=("phantom", "held-out", *PARTS), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        run_part(options)
        return 0
    if subprocess.run([options.python, "-c", "import ants"], check=False, capture_output=True).returncode:
        print(MISSING.format(python=options.python), file=sys.stderr)
        return 1
    from bidsqa.validation.tables import Table

    rows = measure_all(options, "phantom")
    if (options.labels / "labels.json").is_file():
        rows += measure_all(options, "held-out")
    columns = ["image", "method", "bias field, s", "tissues, s", "all, s", "peak, MiB", "of it for the work, MiB"]
    columns += [f"Dice {name}" for name in ("brain", *TISSUES)]
    note = (
        f"{options.contrast} at 1 mm: the phantom (184 x 236 x 224 voxels)"
        + (", and a label map held out from training, painted" if len(rows) > len(METHODS) else "")
        + ". CPU seconds on one thread, one run. Ours, all: with finding head and brain. ANTs works in the brain mask "
        f"of bidsqa, on the scan cut off at the mask's {BRIGHTEST} % percentile: N4 with shrink factor 4 and 4 x 50 "
        "iterations, Atropos with 5 iterations and a Markov random field of weight 0.1 (k-means; its classes named by "
        "their true order of brightness) or 0.01 (priors of weight 0.1, as MRIQC has it; placed where bidsqa found "
        "the head). Painted label maps have no partial volume, which flatters all."
    )
    table = Table(
        "Bias field and tissues beside ANTs", columns, rows, note, "python benchmarks/anatomy_ants.py --python PYTHON"
    )
    table.write(options.table)
    print(table.text())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
