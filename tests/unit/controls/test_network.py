"""The loss against a naive one, and the schedule of the learning rate."""

import math

import pytest
import torch

from benchmark.controls.data import TrainingTexts, example, prefix_ids
from benchmark.controls.network import answer_loss, fresh_model, learning_rate
from benchmark.controls.recipe import Recipe
from benchmark.models.tokenizer import TransformersTokenizer


@pytest.mark.parametrize("stage", ["bare", "prompted"])
def test_loss_is_that_of_whole_sequences_one_by_one(
    recipe: Recipe, tokenizer: TransformersTokenizer, stage: str
) -> None:
    """Padding and the shared prefix change neither the loss nor its gradient."""
    bare = not recipe.stages[stage].prefix
    prefix = () if bare else prefix_ids(tokenizer)
    examples = [
        example(tokenizer, description, answer, bare=bare)
        for description, answer in TrainingTexts(recipe).batch((4,), recipe.stages[stage])
    ]
    model = fresh_model(recipe.shape, len(tokenizer.raw), 0, 1, seed=0)
    losses = []
    for each in examples:
        logits = model(torch.tensor([[*prefix, *each.given, *each.wanted]])).logits[0]
        chances = logits.log_softmax(-1)[-len(each.wanted) - 1 : -1]
        losses += [-chances[place, i] for place, i in enumerate(each.wanted)]
    naive = torch.stack(losses).mean()
    torch.autograd.backward([naive])
    expected = [parameter.grad for parameter in model.parameters()]
    model.zero_grad()
    loss = answer_loss(model, examples, prefix)
    torch.autograd.backward([loss])
    torch.testing.assert_close(loss, naive)
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-3, atol=1e-6)


def test_learning_rate_rises_then_falls(recipe: Recipe) -> None:
    """It warms up to the stage's rate, and half-way down it is the mean of both rates."""
    stage = recipe.stages["bare"].model_copy(update={"steps": 100, "warmup": 10})
    rates = [learning_rate(stage, step) for step in range(stage.steps)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 9
    assert rates[50] == pytest.approx(7.5e-3)
    assert rates[-1] == pytest.approx(5e-3, rel=1e-2)
    assert all(math.isfinite(rate) for rate in rates)
