"""What the controls are trained on."""

from benchmark.boxes import splits
from benchmark.boxes.dataset import generate
from benchmark.boxes.language import parse, parse_statement
from benchmark.boxes.states import parse_state
from benchmark.boxes.vocabulary import default_vocabulary
from benchmark.controls.data import TrainingTexts, example, prefix_ids
from benchmark.controls.recipe import Recipe
from benchmark.models.tokenizer import TransformersTokenizer
from benchmark.prompts.rendering import prompt
from benchmark.prompts.settings import PromptSettings


def test_no_world_has_a_signature_of_the_test_split(recipe: Recipe) -> None:
    """Initial worlds have signatures that no dev or test world of the data seed has."""
    others = {
        splits.signature(parse(state.description)[0])
        for split in ("dev", "test")
        for state in generate(split, recipe.data_seed, default_vocabulary(), subsampled=True)
    }
    texts = TrainingTexts(recipe)
    drawn = {
        splits.signature(parse(description)[0])
        for step in range(100)
        for description, _ in texts.batch((0, step), recipe.stages["bare"])
    }
    assert len(drawn) > 100
    assert not drawn & others


def test_answers_are_the_stage_s_target(recipe: Recipe) -> None:
    """One stage answers with the initial contents, the other with what a replay comes to."""
    texts = TrainingTexts(recipe)
    for description, answer in texts.batch((5,), recipe.stages["bare"]):
        assert parse_statement(answer) == parse(description)[0]
    for description, answer in texts.batch((5,), recipe.stages["prompted"]):
        gold = tuple(query.gold for query in parse_state(0, description).queries)
        assert parse_statement(answer) == gold
        assert len(parse(description)[1]) == 2


def test_the_same_key_gives_the_same_batch(recipe: Recipe) -> None:
    """A batch follows from its key alone, and another key gives another batch."""
    stage = recipe.stages["bare"]
    first = list(TrainingTexts(recipe).batch((1, 2), stage))
    assert first == list(TrainingTexts(recipe).batch((1, 2), stage))
    assert first != list(TrainingTexts(recipe).batch((1, 3), stage))


def test_prefix_and_example_are_the_prompt_of_a_run(
    recipe: Recipe, tokenizer: TransformersTokenizer
) -> None:
    """The shared prefix and the given tokens are the ids that a run gives the model."""
    for description, answer in TrainingTexts(recipe).batch((3,), recipe.stages["prompted"]):
        asked = example(tokenizer, description, answer, bare=False)
        whole = prompt(tokenizer, description, PromptSettings()).token_ids
        assert prefix_ids(tokenizer) + asked.given == whole
        assert asked.wanted[-1] == tokenizer.eos_id
        bare = example(tokenizer, description, answer, bare=True)
        assert bare.given == (tokenizer.bos_id, *asked.given)
