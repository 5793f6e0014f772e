"""The training data of the controls."""

from benchmark.boxes import splits
from benchmark.boxes.dataset import generate
from benchmark.boxes.language import parse, parse_statement
from benchmark.boxes.states import parse_state
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.controls.data import TrainingTexts, shared_prefix, training_example
from benchmark.controls.recipe import Recipe
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.prompts.rendering import prompt
from benchmark.prompts.settings import PromptSettings


def test_signatures_are_disjoint_from_the_test_split(recipe: Recipe) -> None:
    """Initial states have signatures that no dev or test state of the data seed has."""
    evaluation_signatures = {
        splits.signature(parse(state.description)[0])
        for split in ("dev", "test")
        for state in generate(split, recipe.data_seed, default_vocabulary(), subsampled=True)
    }
    texts = TrainingTexts(recipe)
    training_signatures = {
        splits.signature(parse(description)[0])
        for step in range(100)
        for description, _ in texts.batch((0, step), recipe.stages["bare"])
    }
    assert len(training_signatures) > 100
    assert not training_signatures & evaluation_signatures


def test_answers_are_the_stage_s_target(recipe: Recipe) -> None:
    """One stage's answers are the initial contents, the other's the replayed ones."""
    texts = TrainingTexts(recipe)
    for description, answer in texts.batch((5,), recipe.stages["bare"]):
        assert parse_statement(answer) == parse(description)[0]
    for description, answer in texts.batch((5,), recipe.stages["prompted"]):
        gold = tuple(query.gold for query in parse_state(0, description).queries)
        assert parse_statement(answer) == gold
        assert len(parse(description)[1]) == 2


def test_batches_are_reproducible(recipe: Recipe) -> None:
    """A batch depends only on its key, and another key yields another batch."""
    stage = recipe.stages["bare"]
    first = list(TrainingTexts(recipe).batch((1, 2), stage))
    assert first == list(TrainingTexts(recipe).batch((1, 2), stage))
    assert first != list(TrainingTexts(recipe).batch((1, 3), stage))


def test_prefix_and_example_are_the_prompt_of_a_run(
    recipe: Recipe, tokenizer: TransformersTokenizer
) -> None:
    """The shared prefix and the example's prompt are the ids of a run's prompt."""
    for description, answer in TrainingTexts(recipe).batch((3,), recipe.stages["prompted"]):
        example = training_example(tokenizer, description, answer, bare=False)
        expected = prompt(tokenizer, description, PromptSettings()).token_ids
        assert shared_prefix(tokenizer) + example.prompt == expected
        assert example.answer[-1] == tokenizer.eos_id
        bare = training_example(tokenizer, description, answer, bare=True)
        assert bare.prompt == (tokenizer.bos_id, *example.prompt)
