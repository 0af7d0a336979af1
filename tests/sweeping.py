"""What the tests of sweeps share: one small grid, and the hashes of what it leaves."""

import hashlib

from small import small_flags

TINY = {"clean_steps": 12, "adversarial_steps": 6, "test_samples": 20}
GRID = [*small_flags(**TINY), "--grid", "d=20,24", "--seeds", "2"]
NAMES = ("arrays.npz", "metrics.csv", "summary.json", "config.json")


def digests(root):
    """SHA-256 of the table and of what each run found."""
    files = [*root.glob("sweep-*/summary.csv"),
             *(path for name in NAMES for path in root.glob(f"smoke-*/{name}"))]
    return {str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(files)}
