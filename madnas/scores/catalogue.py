"""Every score by name: what it is, in a line, and where its code is. Loads nothing: lists and errors are light."""

from dataclasses import dataclass

CLOSED_FORM = {
    "params": "trainable parameters",
    "macs": "multiply-adds of convolutions and linear layers for one image",
    "activations": "elements of the outputs of convolutions and linear layers for one image",
    "layers": "layers on the main path",
    "width": "average width, the geometric mean of c k^2 / g (DeepMAD, Eq. 3)",
    "rho": "effectiveness, layers / width (DeepMAD, Eq. 2)",
    "entropy": "entropy of the stages' outputs, weighted 1, ..., 1, 8 (DeepMAD, Eq. 4)",
    "objective": "entropy minus the penalty of uneven depths (DeepMAD, Eq. 5)",
    "nn-mass": "channels times density of skip connections (NN-Mass, Eq. 2 and 3; RAN, Eq. 4)",
    "density": "share of the possible skip connections that there are (NN-Mass, Eq. 1)",
    "units": "non-linear units inside blocks, in channels (RAN, Prop. 3)",
}
"""Scores that need no module and are always there."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A score that is computed on request.

    Attributes:
        summary: what it is, in a line.
        place: module and function, ``module:function``.
        lower_is_better: whether a small value is meant to be good.
        random: whether it depends on a draw of weights or inputs.
    """

    summary: str
    place: str
    lower_is_better: bool = False
    random: bool = True


ON_REQUEST = {
    "zen": Entry("Zen-Score: how much the last map moves with the input (Zen-NAS)", "zen:zen"),
    "zen-running": Entry("Zen-Score as the authors' code computes it, from running variances", "zen:zen_running"),
    "zen-closed": Entry("Zen-Score estimated in closed form, from the description", "closed:zen_closed_form",
                        random=False),
    "phi": Entry("Phi-score: the same without batch norms (Zen-NAS)", "phi:phi"),
    "grad-norm": Entry("norm of the loss's gradient (Abdelfattah et al. 2021)", "grad_norm:grad_norm"),
    "snip": Entry("|gradient x weight| (Lee et al. 2019)", "snip:snip"),
    "grasp": Entry("- (Hessian gradient) x weight (Wang et al. 2020)", "grasp:grasp"),
    "fisher": Entry("squared effect of channels on the loss (Turner et al. 2020)", "fisher:fisher"),
    "jacob-cov": Entry("how different the Jacobians of images are (Mellor et al. 2020)", "jacob_cov:jacob_cov"),
    "synflow": Entry("synaptic flow, gradient x weight of |network| (Tanaka et al. 2020)", "synflow:synflow"),
    "naswot": Entry("ln det of how often rectifiers agree on two images (Mellor et al. 2021)", "naswot:naswot"),
    "ntk": Entry("condition number of the neural tangent kernel (Chen et al. 2021)", "ntk:ntk", lower_is_better=True),
    "linear-regions": Entry("patterns of rectifiers of 1,000 small images; wide networks have 1,000 (Chen et al. 2021)",
                            "linear_regions:linear_regions"),
    "te-nas": Entry("linear regions minus condition number (Chen et al. 2021; Zen-NAS, Fig. 12)", "te_nas:te_nas"),
    "ldi": Entry("mean singular value of an MLP's layerwise Jacobians (NN-Mass, Section 3.3)", "ldi:ldi"),
}  # fmt: skip
"""Scores at initialisation; all but the closed form are means over draws of weights and inputs."""

DTYPES = ("float32", "float64", "bfloat16", "float16")
"""Precisions of scores at initialisation."""
