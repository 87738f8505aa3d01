"""The objective of DeepMAD's mathematical program: Eq. (5) of DeepMAD [Shen et al. 2023] and its Guidelines 1 and 2."""

from collections.abc import Sequence

from madnas.theory.numerics import Number, exp, scaled

LAST_STAGE_WEIGHT = 8.0
"""alpha of the last stage; every other stage has 1 (Section 4.3 and Table 7 of DeepMAD)."""

DEPTH_PENALTY = 10.0
"""beta, the weight of Q (Section 4.3 of DeepMAD), where there are several stages."""


def default_stage_weights(stages: int) -> tuple[float, ...]:
    """alpha = (1, ..., 1, 8), one weight per stage (Section 4.3 of DeepMAD).

    A single stage, such as an MLP's (Section 3), has weight 1: there is nothing to weigh it against.

    >>> default_stage_weights(5)
    (1.0, 1.0, 1.0, 1.0, 8.0)
    """
    return (1.0,) * (stages - 1) + (LAST_STAGE_WEIGHT if stages > 1 else 1.0,)


def default_depth_penalty(stages: int) -> float:
    """beta = 10, the weight of Q (Section 4.3 of DeepMAD).

    A single stage, such as an MLP's, has beta = 0: its program (Section 3) knows no depth penalty.

    >>> default_depth_penalty(5), default_depth_penalty(1)
    (10.0, 0.0)
    """
    return DEPTH_PENALTY if stages > 1 else 0.0


def variance(values: Sequence[Number]) -> Number:
    r"""Population variance.  :math:`\frac1n \sum_i (v_i - \bar v)^2`; 0 for fewer than two values.

    >>> variance([6, 9, 10, 12])
    4.6875
    """
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return sum((v - mean) * (v - mean) for v in values) / len(values)


def depth_imbalance(depths: Sequence[Number]) -> Number:
    r"""How uneven the depths are.  :math:`Q = \exp(\mathrm{Var}(L_1, \dots, L_M))`   Eq. (5), Guideline 2 of DeepMAD.

    Args:
        depths: depth in blocks of every group **but the first**, which is kept shallow: with it, Q alone exceeds the
            entropy of most published networks (see the convention table in ``README.md``).

    >>> round(depth_imbalance([6, 9, 10, 12]), 2)
    108.58
    >>> depth_imbalance([5, 5, 5])
    1.0
    """
    return exp(variance(depths))


def objective(
    entropies: Sequence[Number],
    weights: Sequence[float],
    depths: Sequence[Number],
    depth_penalty: float = DEPTH_PENALTY,
) -> Number:
    r"""What a designed network maximises, in nats.  :math:`\sum_i \alpha_i H_i - \beta Q`   Eq. (5) of DeepMAD.

    Args:
        entropies: H_i of every stage's output map (Eq. 4), in nats.
        weights: alpha_i, one per stage (Guideline 1).
        depths: depths in blocks of all groups but the first, for Q (Guideline 2).
        depth_penalty: beta; 0 switches Guideline 2 off.

    Raises:
        ValueError: not one weight per stage.

    DeepMAD-R18, from its per-stage entropies:

    >>> round(objective([42.53, 218.97, 1453.96, 5565.56, 7119.92], [1, 1, 1, 1, 8], [6, 9, 10, 12]), 0)
    63155.0
    """
    if len(entropies) != len(weights):
        raise ValueError(f"{len(weights)} stage weights for {len(entropies)} stages")
    weighted = sum(a * h for a, h in zip(weights, entropies, strict=True))
    if depth_penalty == 0:
        return weighted
    return weighted - scaled(depth_penalty, depth_imbalance(depths))
