"""Our counts and figures are scikit-learn's."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score, confusion_matrix, jaccard_score

from madnas.tasks.confusion import confusion, scores


@pytest.mark.parametrize("seed", range(6))
def test_as_scikit_learn(seed: int) -> None:
    random = np.random.default_rng(seed)
    classes = int(random.integers(2, 9))
    shown = random.integers(0, max(1, classes - seed % 3), 500)  # some classes are in no image
    found = np.where(random.random(500) < 0.6, shown, random.integers(0, classes, 500))
    labels = np.where(random.random(500) < 0.1, 255, shown)
    counts = confusion(torch.tensor(labels.astype(np.uint8)), torch.tensor(found), classes)
    kept = labels != 255
    names = range(classes)
    assert np.array_equal(counts, confusion_matrix(labels[kept], found[kept], labels=names))
    ours = scores(counts)
    assert ours["miou"] == pytest.approx(jaccard_score(labels[kept], found[kept], average="macro"))
    assert ours["accuracy"] == pytest.approx(accuracy_score(labels[kept], found[kept]))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *args, **kwargs: None)  # of predicted classes that no label has
        assert ours["class_accuracy"] == pytest.approx(balanced_accuracy_score(labels[kept], found[kept]))


def test_counts_add_up_over_images() -> None:
    labels, found = torch.randint(3, (2, 40)), torch.randint(3, (2, 40))
    parts = [confusion(one, other, 3) for one, other in zip(labels, found, strict=True)]
    assert torch.equal(sum(parts), confusion(labels, found, 3))


def test_all_right_all_wrong_and_nothing_to_see() -> None:
    right = torch.tensor([0, 1, 2])
    assert scores(confusion(right, right, 4)) == {"miou": 1, "accuracy": 1, "class_accuracy": 1}
    assert scores(confusion(right, (right + 1) % 3, 4)) == {"miou": 0, "accuracy": 0, "class_accuracy": 0}
    assert scores(confusion(torch.tensor([255]), torch.tensor([0]), 4)) == {
        "miou": 0, "accuracy": 0, "class_accuracy": 0,
    }  # fmt: skip
