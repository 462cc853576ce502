"""A small classifier trained on the data set itself: labels, confidence and features of generated points."""

import hashlib
import warnings

import torch
from torch import Tensor


class Classifier:
    """scikit-learn's `MLPClassifier`, trained on these points with a fixed seed.

    Args:
        points: (n, d).
        labels: (n,) int64.
        hidden: sizes of the hidden layers.
        epochs: passes over the points.
    """

    def __init__(self, points: Tensor, labels: Tensor, *, hidden: tuple[int, ...] = (256,), epochs: int = 30) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        sizes = ", ".join(map(str, hidden))
        self.name = f"MLPClassifier({sizes}), {epochs} epochs on {len(points)} training points"
        self.model = MLPClassifier(hidden, max_iter=epochs, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            self.model.fit(points.numpy(), labels.numpy())
        self.classes = torch.as_tensor(self.model.classes_)

    @property
    def digest(self) -> str:
        """Of the weights: figures from features of different digests do not compare."""
        weights = b"".join(array.tobytes() for array in (*self.model.coefs_, *self.model.intercepts_))
        return hashlib.sha256(weights).hexdigest()[:16]

    def accuracy(self, points: Tensor, labels: Tensor) -> float:
        """Share of points whose class is found."""
        return float((self.positions(points) == self._position(labels)).double().mean())

    def positions(self, points: Tensor) -> Tensor:
        """(n,) int64: the place of each point's class in `classes`."""
        return self._probabilities(points).argmax(-1)

    def features(self, points: Tensor) -> Tensor:
        """(n, h) float32: the last hidden layer, behind its rectifier."""
        values = points.numpy()
        for weights, shift in zip(self.model.coefs_[:-1], self.model.intercepts_[:-1], strict=True):
            values = (values @ weights + shift).clip(0)
        return torch.as_tensor(values).float()

    def purity_and_clarity(self, alternatives: Tensor, labels: Tensor) -> dict[str, float]:
        """Share of alternatives (n, a, d) that have their input's class (n,), and the mean largest probability."""
        probabilities = self._probabilities(alternatives.flatten(0, 1)).unflatten(0, alternatives.shape[:2])
        own = probabilities.argmax(-1) == self._position(labels).unsqueeze(-1)
        return {"purity": float(own.double().mean()), "clarity": float(probabilities.amax(-1).mean())}

    def _probabilities(self, points: Tensor) -> Tensor:
        return torch.as_tensor(self.model.predict_proba(points.numpy())).double()

    def _position(self, labels: Tensor) -> Tensor:
        """Of each label among the classes; -1 for one that was not there to learn."""
        position = torch.searchsorted(self.classes, labels).clamp_max(len(self.classes) - 1)
        return torch.where(self.classes[position] == labels, position, -1)
