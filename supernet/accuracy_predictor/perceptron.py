"""The accuracy predictor of the OFA paper: a small fully connected network on one-hot choices.

It has three hidden layers of 400 with ReLU, and one output, whose bias starts at the mean accuracy.
It is trained by Adam at 1e-3 with weight decay 1e-4 (Cai et al., Once-for-All, ICLR 2020, appendix
A, and its authors' answers on GitHub). Epochs and batch size are not published; ours are below.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from compofa.common.arrays import Float32Array, FloatArray
from compofa.supernet.accuracy_predictor.choices import Choices, OneHot

HIDDEN = (400, 400, 400)
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-4
STEPS = 1000
BATCH = 256


@dataclass(frozen=True)
class Perceptron:
    """A fitted network.

    Attributes:
        encoding: how cells become its inputs.
        weights: the weights of each layer, [out, in].
        biases: the biases of each layer, [out].
    """

    encoding: OneHot
    weights: tuple[Float32Array, ...]
    biases: tuple[Float32Array, ...]

    def predict(self, choices: Choices) -> FloatArray:
        """The accuracies of n cells, [n]."""
        y = self.encoding.encode(choices)
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            y = np.maximum(y @ weight.T + bias, 0)
        top1: FloatArray = (y @ self.weights[-1].T + self.biases[-1])[:, 0].astype(np.float64)
        return top1


def fit_perceptron(
    choices: Choices, top1: FloatArray, encoding: OneHot, seed: int = 0
) -> Perceptron:
    """Fits a network to the accuracies `top1` of m cells, [m], on the CPU.

    The learning rate follows a cosine to zero.

    Args:
        choices: the cells.
        top1: their accuracies as fractions of one.
        encoding: how cells become inputs of the network.
        seed: the random seed of the initial weights and of the batches.
    """
    import torch
    from torch import nn

    inputs = torch.from_numpy(encoding.encode(choices))
    targets = torch.from_numpy(top1.astype(np.float32))
    generator = torch.Generator().manual_seed(seed)
    # The initial values of layers come from torch's global generator, whose state is restored.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = (inputs.shape[1], *HIDDEN, 1)
        layers = [nn.Linear(inner, outer) for inner, outer in pairwise(widths)]
    nn.init.constant_(layers[-1].bias, float(top1.mean()))
    network = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))[:-1]
    optimiser = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        some = torch.randint(len(targets), (min(BATCH, len(targets)),), generator=generator)
        loss = nn.functional.mse_loss(network(inputs[some])[:, 0], targets[some])
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
    return Perceptron(
        encoding,
        tuple(layer.weight.detach().numpy() for layer in layers),
        tuple(layer.bias.detach().numpy() for layer in layers),
    )
