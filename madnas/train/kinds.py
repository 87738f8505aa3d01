"""The tasks that networks are trained for: what a recipe, a table and a report need to know of each, without torch.

What a task computes is in the module that :attr:`Kind.module` names; :mod:`madnas.train.task` says what that has.
"""

from dataclasses import dataclass

CLASSIFICATION = "classification"


@dataclass(frozen=True, slots=True)
class Metric:
    """A number that a test gives.

    Attributes:
        name: in files.
        title: in what people read.
        is_share: from 0 to 1, and shown in percent.
    """

    name: str
    title: str
    is_share: bool = True

    def shown(self, value: float | None) -> str:
        """A value as people read it.

        >>> Metric("top1", "top-1").shown(0.25), Metric("ap", "AP").shown(None)
        ('25.00 %', '-')
        """
        if value is None:
            return "-"
        return f"{100 * value:.2f} %" if self.is_share else f"{value:.4f}"


@dataclass(frozen=True, slots=True)
class Kind:
    """A task.

    Attributes:
        module: what computes it: its ``TASK`` is a :class:`madnas.train.task.Task`.
        metrics: of a test besides its loss; the first one ranks tests, more is better.
        own: settings of a recipe that only this task has; a recipe of it gives all that are not in ``optional``.
        optional: those that a recipe may leave out.
        idle: settings that this task has no use for.
        datasets: names that a recipe's ``dataset`` may have; of classification others too.
        needs: settings of all tasks that a recipe of this one has to give.
        default: the recipe that is taken where none is named.
        tests_alone: whether testing takes nothing from the training split.
        compiles: whether ``torch.compile`` is of use: not where every batch has another size.
    """

    module: str
    metrics: tuple[Metric, ...]
    own: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    idle: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    default: str = ""
    tests_alone: bool = False
    compiles: bool = True


WHOLE_IMAGES = ("samples", "crop", "pad", "scale", "ratio", "crop_pct", "interpolation", "aa", "lighting", "cutout",
                "reprob", "remode", "mixup", "cutmix", "mixup_prob", "mixup_switch_prob", "mixup_off_epoch",
                "kd_model_name", "kd_temperature", "kd_hard", "kd_soft", "kd_feature", "alpha_weight",
                "alpha_macs_aware", "layer_decay")  # fmt: skip
"""Settings that are for networks as wholes and for images with one label."""

FOR_FRAMES = ("crop", "scale", "ratio", "layer_decay")
"""Those of :data:`WHOLE_IMAGES` that are for the frames of videos, and for their networks, as well."""

KINDS: dict[str, Kind] = {
    CLASSIFICATION: Kind(
        "madnas.train.classification",
        (Metric("top1", "top-1"), Metric("top5", "top-5")),
        default="digits/quick",
    ),
    "detection": Kind(
        "madnas.tasks.detection",
        (Metric("ap", "AP"), Metric("ap50", "AP50"), Metric("ap75", "AP75"), Metric("ap_small", "APs"),
         Metric("ap_medium", "APm"), Metric("ap_large", "APl")),
        own=("detector", "short_side", "head_chs", "head_width", "proposals", "freeze_norm"),
        optional=("head_chs", "head_width", "proposals"),
        idle=(*WHOLE_IMAGES, "color_jitter", "smoothing", "drop"),
        datasets=("coco",),
        needs=("image_size",),
        default="shapes/detection",
        tests_alone=True,
        compiles=False,
    ),
    "segmentation": Kind(
        "madnas.tasks.segmentation",
        (Metric("miou", "mIoU"), Metric("accuracy", "pixel accuracy"), Metric("class_accuracy", "class accuracy")),
        own=("num_classes", "short_side", "class_share", "distort", "decoder_chs", "aux_weight", "test_scales",
             "test_flip"),
        optional=("class_share", "distort", "decoder_chs", "aux_weight", "test_scales", "test_flip"),
        idle=(*WHOLE_IMAGES, "color_jitter", "smoothing"),
        datasets=("ade20k",),
        needs=("image_size",),
        default="shapes/segmentation",
    ),
    "video": Kind(
        "madnas.tasks.video",
        (Metric("top1", "top-1"), Metric("top5", "top-5")),
        own=("num_classes", "short_side", "segments", "test_segments", "test_crops"),
        optional=("test_crops",),
        idle=("color_jitter", *(name for name in WHOLE_IMAGES if name not in FOR_FRAMES)),
        datasets=("videos",),
        needs=("image_size",),
        default="shapes/video",
    ),
}  # fmt: skip
"""All tasks by name."""


def metric_names() -> set[str]:
    """Names of all tasks' metrics."""
    return {metric.name for kind in KINDS.values() for metric in kind.metrics}
