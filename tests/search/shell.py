"""What the tests of searches share: small searches, in this process, by formulas and by a score that is made up."""

import random
from dataclasses import replace

from madnas.search.closed import ClosedSearch
from madnas.search.effort import Effort
from madnas.search.goal import make_goal
from madnas.search.measure import Result, Task
from madnas.search.measured import MeasuredSearch
from madnas.search.rows import Rows
from madnas.search.space import load_evolution_space

QUICK = Effort(population=64, proposals=256, survivors=6, repeats=3, batch_size=2, candidates=3_000)


def zen_rows(side: int = 16, **changes) -> Rows:
    space = load_evolution_space("zen-residual").customised(resolution=side, classes=10)
    return Rows(replace(space, **changes))


def closed(family, score: str, budgets: dict, effort: Effort, front=()) -> ClosedSearch:
    search = ClosedSearch(family, make_goal(score, family, budgets, front), effort)
    for _ in search.rounds():
        if search.proposed >= (effort.candidates or 0):
            break
    return search


def fake(task: Task) -> Result:
    """A score that depends on the network and the draw, and fails for some networks."""
    if sum(group.out for group in task.spec.groups) % 3 == 0:
        return Result(failed={"synflow": "does not like it"})
    draw = random.Random(f"{task.spec.groups} {task.seed}")
    noise = [draw.gauss(0, 3) for _ in range(task.last)][task.first :]
    return Result({"synflow": [float(sum(group.out for group in task.spec.groups) / 10) + one for one in noise]})


def measured(order=lambda places: places, effort=QUICK, journal=None, rounds=4, score="synflow", front=()):
    family = zen_rows()
    goal = make_goal(score, family, {"params": 100_000}, front)
    done = []

    def scorer(tasks, on_done):
        for place in order(list(range(len(tasks)))):
            done.append(tasks[place])
            on_done(place, fake(tasks[place]))

    search = MeasuredSearch(family, goal, effort, scorer)
    for number in search.rounds(journal):
        if number >= rounds:
            break
    search.finish()
    return search, done


def state(search: MeasuredSearch):
    return [(key, search.records[key].draws, search.records[key].fitness) for key in search.population]
