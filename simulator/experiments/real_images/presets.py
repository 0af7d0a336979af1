"""Named settings of the run on real images."""

from typing import Any

__all__ = ["PRESETS"]

PRESETS: dict[str, dict[str, Any]] = {
    # Two digits, from a start as large as practice has it: half a minute.
    "desk": {
        "name": "images-digits", "seed": 0, "source": "digits", "file": "none", "task": "3-7",
        "labels": "true", "training_samples": 0, "test_samples": 0, "d": 64, "m": 100,
        "init_scale": 0.5, "bias": 0.05, "learning_rate": 0.3, "weight_decay": 3e-4,
        "batch_size": 100, "clean_steps": 200, "adversarial_steps": 2000, "tau": 0.3,
        "attack_steps": 5, "evaluation_chunk": 1000, "certified_samples": 200,
        "certificate_boxes": 50, "natural_patches": 12000, "features": 100, "record_every": 50,
        "dtype": "float64", "threads": 1},
}
# All ten digits, 0 to 4 against 5 to 9, from a small start: mixtures that training itself gathers.
PRESETS["halves"] = PRESETS["desk"] | {
    "name": "images-halves", "task": "halves", "m": 50, "init_scale": 0.05, "learning_rate": 0.5,
    "weight_decay": 1e-4, "batch_size": 200, "clean_steps": 3000, "adversarial_steps": 3000,
    "tau": 0.2, "certified_samples": 100}
# Patches of two photographs. (Two textures are too much for a network that is odd in its input: a
# patch and its negative look alike there.)
PRESETS["photographs"] = PRESETS["desk"] | {
    "name": "images-photographs", "source": "photographs", "task": "china-flower",
    "training_samples": 2000, "test_samples": 400, "d": 144, "clean_steps": 2000, "tau": 0.05}
# A glance in seconds, to see that everything works.
PRESETS["smoke"] = PRESETS["desk"] | {
    "name": "images-smoke", "m": 40, "clean_steps": 60, "adversarial_steps": 100,
    "certified_samples": 10, "certificate_boxes": 5, "natural_patches": 1500, "features": 60,
    "record_every": 20}
