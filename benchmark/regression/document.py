"""A comparison as JSON."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from benchmark.regression.stages import STAGES

if TYPE_CHECKING:
    from benchmark.regression.comparison import Comparison
    from benchmark.regression.movements import Movement


def document(comparison: "Comparison") -> dict[str, object]:
    """Severity, stage, figures, flips, test, suspects and examples; not the records."""
    test = comparison.test
    return {
        "severity": comparison.severity.value,
        "exit_status": comparison.exit_status,
        "stage": comparison.stage,
        "states": len(comparison.alignment.pairs),
        "stages": {
            name: _movement(found)
            for name in STAGES
            for found in comparison.movements
            if found.stage == name
        },
        "failed": comparison.failed,
        "logits": {
            "largest": comparison.largest,
            "mean_kl": comparison.divergence,
            "floor": comparison.floor.largest,
            "measured_floor": comparison.floor.measured,
        },
        "answers_changed": len(comparison.changes),
        "answers_changed_by_noise": len(comparison.excused),
        "flips": {
            "gained": sum(flip.gained for flip in comparison.flips),
            "lost": sum(not flip.gained for flip in comparison.flips),
            "by_numops": {
                str(n): {"gained": gained, "lost": lost}
                for n, (gained, lost) in comparison.flips_by_numops().items()
            },
        },
        "test": asdict(test) if test else None,
        "margins": [change.as_json() for change in comparison.changes],
        "examples": [example.as_json() for example in comparison.examples],
        "suspects": [suspect.as_json() for suspect in comparison.suspects],
        "other_hardware": comparison.other_hardware,
    }


def _movement(movement: "Movement") -> dict[str, object]:
    return {
        "states": len(movement.states),
        "of": movement.of,
        "within_noise": movement.within,
        "failed": movement.failed,
        "note": movement.note,
    }
