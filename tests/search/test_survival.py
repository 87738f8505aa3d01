"""Who stays: against brute force, and NSGA-II's ranking against pymoo's."""

import numpy as np
import pytest

from madnas.search.seen import Seen, keys
from madnas.search.survival import crowded, crowding, dominated, front_numbers, order


def brute_dominated(judged):
    return np.array(
        [any((other >= one).all() and (other > one).any() for other in judged) for one in judged], dtype=bool
    )


@pytest.mark.parametrize("objectives", [2, 3])
@pytest.mark.parametrize("levels", [3, 1000])
def test_dominated_is_brute_force(objectives, levels):
    generator = np.random.default_rng(objectives)
    for _ in range(30):
        judged = generator.integers(0, levels, (40, objectives)).astype(float)
        judged[judged == 0] = -np.inf  # a cost that is not known
        assert (dominated(judged) == brute_dominated(judged)).all()


@pytest.mark.parametrize("objectives", [2, 3])
def test_fronts_and_crowding_are_pymoos(objectives):
    pymoo = pytest.importorskip("pymoo", reason="pymoo is not installed")
    assert pymoo
    from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
    from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting

    judged = np.random.default_rng(0).standard_normal((80, objectives))
    fronts = front_numbers(judged)
    theirs = NonDominatedSorting().do(-judged)
    assert [sorted(front.tolist()) for front in theirs] == [
        np.flatnonzero(fronts == number).tolist() for number in range(fronts.max() + 1)
    ]
    distances = crowding(judged, fronts)
    for front in (front for front in theirs if len(front) > 2):
        # pymoo divides by the number of objectives
        assert distances[front] == pytest.approx(objectives * calc_crowding_distance(-judged[front]))


def test_within_the_budgets_before_beyond_and_earlier_before_later():
    judged = np.array([[1.0], [5.0], [5.0], [9.0], [7.0]])
    breach = np.array([0.0, 0.0, 0.0, 0.3, 0.1])
    assert order(judged, breach).tolist() == [1, 2, 0, 4, 3]


def test_niches_are_not_crowded():
    niches = np.array([7, 7, 7, 8, 8, 9])
    assert crowded(niches, np.arange(6), 2).tolist() == [0, 1, 3, 4, 5, 2]


def test_seen_is_a_set():
    generator = np.random.default_rng(0)
    seen, reference = Seen(16), set()
    for _ in range(40):
        asked = keys(generator.integers(0, 20, (500, 3)))
        assert seen.has(asked).tolist() == [key in reference for key in asked.tolist()]
        seen.add(asked)
        reference |= set(asked.tolist())
    assert len(seen) == len(reference) > 7000


def test_keys_tell_rows_apart_and_are_the_same_everywhere():
    rows = np.stack(np.meshgrid(*[np.arange(25)] * 3), axis=-1).reshape(-1, 3)
    assert len(np.unique(keys(rows))) == len(rows)
    assert keys(np.array([[1, 2, 3]])).tolist() == keys(np.array([[1, 2, 3]], np.int32)).tolist()
