"""What is to be benchmarked, checked before anything heavy is loaded."""

from dataclasses import dataclass, field

from madnas.errors import UsageError
from madnas.measure.rounds import FEWEST_ROUNDS, Pace
from madnas.measure.setting import Setting, check_setting
from madnas.network.layer import Resolution

MODES = ("infer", "train")
ENGINES = ("torch", "onnxruntime")
MAX_ROUNDS = 100_000


@dataclass(frozen=True, slots=True)
class Request:
    """A benchmark.

    Attributes:
        targets: networks, as users name them; ratios are to the first.
        setting: device, precision, layout, threads, clock, and the batch size, unless ``auto_batch``.
        modes: ``infer``, ``train`` or both.
        engine: ``torch`` or ``onnxruntime``.
        compiled: by ``torch.compile``.
        auto_batch: take the largest batch that fits, of every network its own (Table 9 of DeepMAD).
        resolution: height and width of the images; None: of every network its own.
        pace: how long.
        selftest: measure the first network a second time, beside itself.
    """

    targets: tuple[str, ...]
    setting: Setting = field(default_factory=Setting)
    modes: tuple[str, ...] = ("infer",)
    engine: str = "torch"
    compiled: bool = False
    auto_batch: bool = False
    resolution: Resolution | None = None
    pace: Pace = field(default_factory=Pace)
    selftest: bool = False


def check_request(request: Request) -> None:
    """Refuse what cannot be measured together.

    Raises:
        UsageError: names the options.
    """
    check_setting(request.setting)
    precision, device = request.setting.precision, request.setting.device
    rounds = request.pace.rounds
    unknown = [mode for mode in request.modes if mode not in MODES]
    if unknown or not request.modes:
        raise UsageError(f"--mode: unknown {', '.join(unknown)[:60]!r}", f"one of {', '.join(MODES)}")
    if request.engine not in ENGINES:
        raise UsageError(f"--engine: unknown {request.engine[:60]!r}", f"one of {', '.join(ENGINES)}, vela")
    if rounds is not None and not FEWEST_ROUNDS <= rounds <= MAX_ROUNDS:
        raise UsageError(f"--rounds: from {FEWEST_ROUNDS} to {MAX_ROUNDS}, got {rounds}")
    if not 0 < request.pace.seconds <= 3600:
        raise UsageError(f"--seconds: above 0 and at most 3600, got {request.pace.seconds:g}")
    if request.engine == "onnxruntime":
        _check_onnxruntime(request)
    elif precision == "int8":
        raise UsageError("--precision int8: torch computes no network in 8-bit integers", "--engine onnxruntime")
    if "train" in request.modes and precision == "fp16" and device == "cpu":
        raise UsageError("--precision fp16: no training on the CPU", "--precision bf16")


def _check_onnxruntime(request: Request) -> None:
    precision, on_cpu = request.setting.precision, request.setting.device == "cpu"
    if "train" in request.modes:
        raise UsageError("--mode train: onnxruntime does not train", "--engine torch, or --mode infer")
    if request.compiled:
        raise UsageError("--compile: for --engine torch", "leave it out")
    if request.setting.layout != "channels-first":
        raise UsageError("--layout: ONNX has images channels first", "leave it out")
    allowed = ("fp32", "int8") if on_cpu else ("fp32", "fp16")
    if precision not in allowed:
        where = "the CPU" if on_cpu else "a GPU"
        raise UsageError(f"--precision {precision}: onnxruntime on {where} is measured in {' or '.join(allowed)}")
