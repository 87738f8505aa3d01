"""Mean intersection over union and pixel accuracy, from counts that can be summed over images and processes."""

import torch
from torch import Tensor


def confusion(labels: Tensor, found: Tensor, classes: int) -> Tensor:
    """Pixels by class (row) and prediction (column), int64 (classes, classes); labels beyond the classes do not count.

    Args:
        labels: of any shape, whole numbers.
        found: predictions of the same shape, from 0 to ``classes - 1``.
        classes: how many.

    >>> confusion(torch.tensor([0, 0, 1, 255]), torch.tensor([0, 1, 1, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    counts = labels < classes
    places = labels[counts].long() * classes + found[counts].long()
    return torch.bincount(places, minlength=classes * classes).view(classes, classes)


def scores(counts: Tensor) -> dict[str, float]:
    """Figures of a confusion matrix (classes, classes).

    ``miou``: IoU_c = n_cc / (sum_j n_cj + sum_j n_jc - n_cc), mean over the classes that occur, as label or as
    prediction. ``accuracy``: sum_c n_cc / sum n, of labelled pixels. ``class_accuracy``: n_cc / sum_j n_cj, mean over
    the classes that occur as a label. All are 0 where no pixel has a label.

    >>> scores(torch.tensor([[1, 1], [0, 1]]))
    {'miou': 0.5, 'accuracy': 0.6666666666666666, 'class_accuracy': 0.75}
    """
    counts = counts.double()
    right, labels, found = counts.diagonal(), counts.sum(1), counts.sum(0)
    union = labels + found - right
    return {
        "miou": _mean(right, union),
        "accuracy": float(right.sum() / counts.sum().clamp(min=1)),
        "class_accuracy": _mean(right, labels),
    }


def _mean(right: Tensor, of: Tensor) -> float:
    """Mean of the ratios whose denominator is not 0."""
    there = of > 0
    return float((right[there] / of[there]).mean()) if bool(there.any()) else 0.0
