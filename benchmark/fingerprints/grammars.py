"""Record and compare the tokens that grammar backends allow, for fetched tokenizers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmark.decoding.grammar_backends import (
    BACKENDS,
    REFERENCE,
    GrammarTrace,
    installed_backends,
    traces,
)
from benchmark.fingerprints.digests import StageRecord, digest, failure_digest
from benchmark.fingerprints.grammar_differences import (
    GrammarDifference,
    TokenKinds,
    grammar_differences,
)
from benchmark.fingerprints.record import Allowed, Fingerprint
from benchmark.fingerprints.stage_recorder import line
from benchmark.fingerprints.stages import CONSTRAINT, DATASET, allowed_set
from benchmark.fingerprints.tokenizers import correct_answer
from benchmark.models.downloads import load_source_tokenizer, source
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.runs.environment import Environment, code_digests, installed, versions
from benchmark.tasks import DEFAULT, task_named

_EXPRESSION = task_named(DEFAULT).expression
_FORBIDDEN = -1


@dataclass(frozen=True, slots=True)
class FamilyGrammars:
    """The traces of a family's tokenizer by backend, or the errors that were raised."""

    family: str
    tokenizer: TransformersTokenizer
    traces: dict[str, GrammarTrace | Exception]

    def differences(self) -> Iterator[GrammarDifference]:
        """Yield how each other backend differs from outlines-core.

        Raises:
            Exception: the one of outlines-core, if it failed itself.
        """
        reference = self.traces[REFERENCE]
        if isinstance(reference, Exception):
            raise reference
        kinds = TokenKinds(self.tokenizer, _EXPRESSION)
        for backend, trace in self.traces.items():
            if backend != REFERENCE:
                yield from grammar_differences(backend, trace, reference, kinds)


def family_grammars(
    family: str, backends: Sequence[str], tokenizer: TransformersTokenizer | None = None
) -> FamilyGrammars:
    """Trace the correct answer to one state with each backend, by default the fetched tokenizer."""
    loaded = tokenizer or load_source_tokenizer(source(family))
    answer = (*correct_answer(loaded), loaded.eos_id)
    return FamilyGrammars(family, loaded, traces(backends, _EXPRESSION, loaded, answer))


def grammars_fingerprint(families: Sequence[str]) -> Fingerprint:
    """Return a fingerprint with one state per family and installed backend."""
    backends = installed_backends()
    traced = [family_grammars(family, backends) for family in families]
    rows = [(f"{f.family}, {name}", trace) for f in traced for name, trace in f.traces.items()]
    errors = {name: line(trace) for name, trace in rows if isinstance(trace, Exception)}
    allowed = _allowed([trace for _, trace in rows])
    paths = tuple(() if isinstance(trace, Exception) else trace.answer for _, trace in rows)
    return Fingerprint(
        environment=Environment(
            versions={**versions(), **installed(BACKENDS)},
            data={"families": " ".join(families), "backends": " ".join(backends)},
        ),
        stages={
            DATASET.name: StageRecord(tuple(digest([name]) for name, _ in rows)),
            CONSTRAINT.name: _constraint([name for name, _ in rows], errors, allowed),
        },
        path=paths,
        lengths=tuple(map(len, paths)),
        allowed=allowed,
        code=code_digests(),
    )


def _constraint(names: Sequence[str], errors: Mapping[str, str], allowed: Allowed) -> StageRecord:
    """Return a digest per state, and the errors of backends that failed."""
    text = "; ".join(f"{name}: {error}" for name, error in errors.items()) or None
    if len(errors) == len(names):
        return StageRecord(failed=text)
    digests = zip(names, CONSTRAINT.digests(allowed), strict=True)
    return StageRecord(tuple(failure_digest() if n in errors else d for n, d in digests), text)


def _allowed(traced: Sequence[GrammarTrace | Exception]) -> Allowed:
    """Return all distinct sets, and their indexes along each answer."""
    numbers = dict[frozenset[int], int]()
    along = list[tuple[int, ...]]()
    for trace in traced:
        sets = () if isinstance(trace, Exception) else trace.sets
        rest = 0 if isinstance(trace, Exception) else len(trace.answer) - len(sets)
        indexes = (numbers.setdefault(ids, len(numbers)) for ids in sets)
        along.append((*indexes, *[_FORBIDDEN] * rest))
    return Allowed(tuple(allowed_set(tuple(sorted(ids))) for ids in numbers), tuple(along))
