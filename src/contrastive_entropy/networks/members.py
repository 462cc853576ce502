"""Several networks of one shape side by side, evaluated together by batched products."""

import itertools
import math

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Fully connected layers with SiLU between them, for each of several members.

    Args:
        members: networks side by side, independent of each other.
        inputs: number of input features.
        outputs: number of output features.
        width: of the hidden layers.
        depth: number of hidden layers.
        dropout: share of hidden units that are left out in training, in [0, 1).

    Raises:
        ValueError: a size is not positive, or dropout is out of range.

    >>> Members(2, 3, 4)(torch.zeros(2, 5, 3)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(
        self, members: int, inputs: int, outputs: int, *, width: int = 64, depth: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if min(members, inputs, outputs, width) < 1 or depth < 0:
            raise ValueError(
                "members, inputs, outputs and width must be at least 1 and depth at least 0, got "
                f"{members}, {inputs}, {outputs}, {width} and {depth}"
            )
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in [0, 1), got {dropout}")
        self.members, self.dropout = members, dropout
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for rows, columns in itertools.pairwise([inputs, *[width] * depth, outputs]):
            most = 1 / math.sqrt(rows)  # as torch's Linear starts
            self.weights.append(nn.Parameter(torch.empty(members, rows, columns).uniform_(-most, most)))
            self.biases.append(nn.Parameter(torch.empty(members, 1, columns).uniform_(-most, most)))

    def forward(self, inputs: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """(members, n, inputs) -> (members, n, outputs).

        Args:
            inputs: of each member.
            generator: of the units that are left out, on the CPU; None leaves none out.
        """
        hidden = inputs
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            if index:
                hidden = nn.functional.silu(hidden)
                if generator is not None and self.dropout:
                    kept = torch.rand(hidden.shape, generator=generator).to(hidden.device) >= self.dropout
                    hidden = hidden * kept / (1 - self.dropout)
            hidden = torch.baddbmm(bias, hidden, weight)
        return hidden
