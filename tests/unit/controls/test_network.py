"""The loss compared with a naive one, and the schedule of the learning rate."""

import math

import pytest
import torch

from benchmark.controls.data import TrainingTexts, shared_prefix, training_example
from benchmark.controls.network import answer_loss, learning_rate, random_model
from benchmark.controls.recipe import Recipe
from benchmark.models.tokenizer import TransformersTokenizer


@pytest.mark.parametrize("stage", ["bare", "prompted"])
def test_loss_equals_that_of_single_sequences(
    recipe: Recipe, tokenizer: TransformersTokenizer, stage: str
) -> None:
    """Padding and the shared prefix change neither the loss nor its gradient."""
    bare = not recipe.stages[stage].prefix
    prefix = () if bare else shared_prefix(tokenizer)
    examples = [
        training_example(tokenizer, description, answer, bare=bare)
        for description, answer in TrainingTexts(recipe).batch((4,), recipe.stages[stage])
    ]
    model = random_model(recipe.shape, len(tokenizer.raw), 0, 1, seed=0)
    losses = []
    for example in examples:
        sequence = torch.tensor([[*prefix, *example.prompt, *example.answer]])
        scores = model(sequence).logits[0].log_softmax(-1)[-len(example.answer) - 1 : -1]
        losses += [-scores[position, token] for position, token in enumerate(example.answer)]
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
    """The rate warms up to the stage's rate, and is the mean of both rates half-way down."""
    stage = recipe.stages["bare"].model_copy(update={"steps": 100, "warmup": 10})
    rates = [learning_rate(stage, step) for step in range(stage.steps)]
    assert rates[0] == pytest.approx(1e-3)
    assert rates.index(max(rates)) == 9
    assert rates[50] == pytest.approx(7.5e-3)
    assert rates[-1] == pytest.approx(5e-3, rel=1e-2)
    assert all(math.isfinite(rate) for rate in rates)
