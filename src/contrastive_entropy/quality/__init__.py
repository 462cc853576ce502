"""How good samples of a table are, from their rows alone: numbers, categories, dates and missing values side by side."""

from contrastive_entropy.quality.findings import Finding
from contrastive_entropy.quality.judge import Judgement, judge

__all__ = ["Finding", "Judgement", "judge"]
