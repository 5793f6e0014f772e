"""Comparisons of fingerprints on the report's page."""

import json
from pathlib import Path

import pytest

from benchmark.errors import DataError
from benchmark.models.registry import registry
from benchmark.report.gather import gather
from benchmark.report.page import page

DOCUMENT = {
    "severity": "regression",
    "exit_status": 4,
    "stage": "prompt_ids",
    "states": 8,
    "stages": {
        "prompt_ids": {"states": 8, "of": 8, "within_noise": False, "failed": None, "note": None},
        "logits": {"states": 3, "of": 8, "within_noise": True, "failed": None, "note": None},
        "outcome": {"states": 2, "of": 8, "within_noise": False, "failed": None, "note": "<b>"},
    },
    "logits": {"largest": 0.5, "mean_kl": 0.01, "floor": 1e-5, "measured_floor": 1e-5},
    "answers_changed": 2,
    "flips": {"gained": 1, "lost": 3, "by_numops": {"1": {"gained": 1, "lost": 3}}},
    "suspects": [
        {"kind": "library", "name": "tokenizers", "old": "0.22", "new": "0.23", "reach": 3}
    ],
    "examples": [{"state": 0, "where": "token 0", "old": "1 2", "new": "<script>\u202e"}],
    "other_hardware": False,
}


def _page(document: object, folder: Path) -> str:
    path = folder / "shift.json"
    path.write_text(json.dumps(document))
    return page(gather([], registry(), [path]), ())


def test_stages_and_suspects(tmp_path: Path) -> None:
    """The page has severity, every stage, the first changed one, flips, suspects and examples."""
    text = " ".join(_page(DOCUMENT, tmp_path).split())
    assert '<span class="badge regression">regression</span> shift.json' in text
    assert 'class="moved first">prompt_ids: 8 of 8' in text
    assert 'class="noise">logits: 3 of 8 within noise' in text
    assert 'class="">weights</li>' in text
    assert "outcome: 2 of 8 (&lt;b&gt;)" in text
    assert "library tokenizers: 0.22 &rarr; 0.23" in text
    assert "1 queries gained, 3 lost" in text
    assert "&lt;script&gt;⟨U+202E⟩" in text


def test_flips_by_the_other_score(tmp_path: Path) -> None:
    """They are shown if they differ; older documents have none."""
    assert "lost by exact" not in _page(DOCUMENT, tmp_path)
    assert "lost by exact" not in _page(
        {**DOCUMENT, "exact": {"flips": DOCUMENT["flips"]}}, tmp_path
    )
    other = {"gained": 0, "lost": 5, "by_numops": {"2": {"gained": 0, "lost": 5}}}
    text = " ".join(_page({**DOCUMENT, "exact": {"flips": other}}, tmp_path).split())
    assert "1 queries gained, 3 lost by set; 0 queries gained, 5 lost by exact" in text
    assert "Changes to the box (exact)" in text


def test_types_of_error(tmp_path: Path) -> None:
    """Types that changed are shown, the largest growth first; an unknown one by its name."""
    assert "Type of error" not in _page(DOCUMENT, tmp_path)
    errors = {
        "other_box": {"new": 1, "past": 3, "growth": -2, "p": 0.5, "p_holm": 1.0},
        "initial_contents": {"new": 9, "past": 0, "growth": 9, "p": 1e-6, "p_holm": 2e-6},
        "<later>": {"new": 1, "past": 0, "growth": 1, "p": 0.9, "p_holm": 1.0},
    }
    text = _page({**DOCUMENT, "errors": errors}, tmp_path)
    rows = [row.partition("</tr>")[0] for row in text.split('<th scope="row">')[1:]]
    cells = [
        [cell.partition("</t")[0].rpartition(">")[2] for cell in row.split("<td")] for row in rows
    ]
    assert cells[-3:] == [
        ["initial contents", "9", "0", "+9", "&lt; 0.001"],
        ["&lt;later&gt;", "1", "0", "+1", "1"],
        ["other box", "1", "3", "-2", "1"],
    ]


def test_without_a_comparison(tmp_path: Path) -> None:
    """The page then has no section of comparisons and no link to it."""
    assert "#drift" not in page(gather([], registry()), ())
    assert "#drift" in _page(DOCUMENT, tmp_path)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**DOCUMENT, "severity": "dire"}, "severity"),
        ({name: value for name, value in DOCUMENT.items() if name != "stages"}, "stages"),
        ({**DOCUMENT, "errors": {"mixed": {"new": 1}}}, "past"),
        ([], "not a JSON object"),
    ],
)
def test_other_files_are_refused(document: object, words: str, tmp_path: Path) -> None:
    """The error names the file and what is wrong."""
    with pytest.raises(DataError, match=rf"shift.json: .*{words}"):
        _page(document, tmp_path)
