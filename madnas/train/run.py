"""A run from its first update to its last, in one go or in many: whatever ends it, the same command goes on."""

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from madnas.data.order import Order
from madnas.data.source import Batch, Process, Source
from madnas.errors import DataError, DivergedError, RequeueError, UsageError
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.network.specfile import dump_spec
from madnas.runfolder import claimed_folder
from madnas.train.build import Talk, new_engine, test_batch
from madnas.train.checkpoint import Checkpoint, newest, save_checkpoint, weights
from madnas.train.data import open_data
from madnas.train.distributed import highest, processes, rows, told, total
from madnas.train.environment import environment
from madnas.train.evidence import save_evidence
from madnas.train.job import Job
from madnas.train.log import LEDGER, METRICS, SUMMARY, TIMING, Lines, write_summary
from madnas.train.memory import Memory, Progress
from madnas.train.model import Network, fitted, own_size
from madnas.train.optimise import total_epochs
from madnas.train.signals import INTERRUPT, NOTHING, Wish, wishes

BEST, FINAL, RESULT, NETWORK, ENVIRONMENT = (
    "best.safetensors",
    "last.safetensors",
    "result.json",
    "network.yaml",
    "environment.json",
)
WEIGHTS, NONFINITE = "weights", "nonfinite"
REPORT, CURVES = "report.md", "curves.png"
BELONGINGS = (
    *(METRICS, LEDGER, TIMING, SUMMARY, BEST, FINAL, RESULT, NETWORK, ENVIRONMENT, REPORT, CURVES),
    *("checkpoints", WEIGHTS, NONFINITE, "events"),
)

LONGEST = 600.0
"""Seconds after which there is a checkpoint in the middle of an epoch: what a crash costs at most."""


def train(job: Job, show: Callable[[Progress], None], talk: Talk) -> dict[str, Any]:
    """Train, or go on where the folder's run stopped.

    Args:
        job: what.
        show: takes the progress, after every update, in the first process.
        talk: takes warnings and news, in the first process.

    Returns:
        what ``result.json`` says.

    Raises:
        UsageError: settings, folder or network that cannot be used; a full disk.
        DataError: data that is missing or broken.
        DivergedError: loss, gradient or weights are not finite.
        RequeueError: told to end by a signal; a checkpoint is written.
        KeyboardInterrupt: Ctrl-C; a checkpoint is written.
    """
    with processes(job.device) as process:
        device = process.device
        source = open_data(job.recipe, job.data, job.seed, own_size(job.target), job.workers, device)
        network = fitted(job.target, source.facts)
        order = Order(source.facts.train, job.recipe.batch_size, job.seed)
        check_shares(job, process)
        with _folder(job, source, process), wishes() as wish:
            return Run(job, source, network, order, process, show, talk if process.is_first else _silent).go(wish)


def check_shares(job: Job, process: Process) -> None:
    """Refuse a batch that processes and accumulation steps cannot share.

    Raises:
        UsageError: it does not fall into equal parts.
    """
    recipe = job.recipe
    share = recipe.batch_size // process.world
    if (recipe.mixup or recipe.cutmix) and share % 2:
        raise UsageError(
            f"mixup and cutmix take images in pairs, and the share of a process is {share}",
            "--set batch_size=... to an even number for each",
        )
    parts = process.world * job.recipe.grad_accum_steps
    if job.recipe.batch_size % parts:
        raise UsageError(
            f"a batch of {job.recipe.batch_size} does not fall into {parts} equal parts "
            f"({process.world} processes x {job.recipe.grad_accum_steps} accumulation steps)",
            "--set batch_size=... to a multiple",
        )


def _folder(job: Job, source: Source, process: Process) -> AbstractContextManager[Any]:
    if not process.is_first:
        return nullcontext()
    return claimed_folder(job.folder, job.identity(source.facts), BELONGINGS, job.restart)


def _silent(text: str) -> None:
    """Other processes than the first say nothing."""


class Run:
    """One run in one process; see :func:`train`."""

    def __init__(
        self,
        job: Job,
        source: Source,
        network: Network,
        order: Order,
        process: Process,
        show: Callable[[Progress], None],
        talk: Talk,
    ) -> None:
        self.job, self.source, self.network, self.order, self.process = job, source, network, order, process
        self._show, self._talk = show, talk
        self.engine = new_engine(job, source, network, order, process, talk)
        self.epochs = total_epochs(job.recipe)
        self.steps = self.epochs * order.steps_per_epoch
        self.memory = Memory()
        self._losses = torch.zeros(4, dtype=torch.float64, device=process.device)
        self._metrics = Lines(job.folder / METRICS)
        self._ledger = Lines(job.folder / LEDGER)
        self._timing = Lines(job.folder / TIMING)
        self._board: Any = None
        self._last: tuple[float | None, float | None] = (None, None)
        self._begin = self._saved = self._epoch_begin = time.monotonic()

    def go(self, wish: Wish) -> dict[str, Any]:
        """Train what is left, and write the results."""
        told("", self.process)  # the first process has claimed the folder
        finished = self.job.folder / RESULT
        text = told(finished.read_text() if self.process.is_first and finished.exists() else "", self.process)
        if text:
            found: dict[str, Any] = json.loads(text)
            return found | {"was_finished": True}
        self._resume()
        self._start_files()
        if self.process.is_first:
            self._board = _tensorboard(self.job.folder, self.memory.step)
        self._begin = self._saved = self._epoch_begin = time.monotonic()
        begun = self.memory.step
        while self.memory.step < self.steps:
            self._train(begun, wish)
        return self._finish(time.monotonic() - self._begin, self.memory.step - begun)

    def _train(self, begun: int, wish: Wish) -> None:
        """Updates until the end, or until one has to be taken back."""
        for batch in self.source.train(self.order, self.memory.step, self.steps, self.process):
            step = self.memory.step
            self._note_broken(batch, step)
            if step in self.memory.skipped:
                self._add({"event": "skipped", "epoch": step // self.order.steps_per_epoch, "step": step})
                rate, wrong = self.engine.rate_at(step), ""
            else:
                update = self.engine.update(batch, step)
                rate, wrong = update.rate, update.wrong
                self._losses += torch.stack([update.loss.double(), update.loss.new_ones((), dtype=torch.float64)] * 2)
            wanted, failed, late = highest([wish.value, bool(wrong), self._is_late()], self.process)
            if failed:
                self._take_back(batch, step, wrong)
                return
            self.memory.step += 1
            self._after(rate, begun, bool(late))
            if wanted != NOTHING:
                self._stop(wanted)

    # After an update

    def _after(self, rate: float, begun: int, late: bool) -> None:
        step, per_epoch = self.memory.step, self.order.steps_per_epoch
        epoch = (step - 1) // per_epoch
        ends = step % per_epoch == 0
        loss = None
        if step % self.job.log_interval == 0 or ends:
            loss = self._log_loss(epoch, step, rate)
        if ends:
            self._end_epoch(epoch, rate)
        if late or self._is_due(ends):
            self._save()
        if self.process.is_first:
            self._tell(epoch, rate, loss, begun)

    def _log_loss(self, epoch: int, step: int, rate: float) -> float | None:
        total_loss, count = total(self._losses[:2], self.process).tolist()
        self._losses[:2] = 0
        if not count:
            return None
        loss = float(total_loss / count)
        self._add({"event": "train", "epoch": epoch, "step": step, "loss": loss, "lr": rate})
        return loss

    def _end_epoch(self, epoch: int, rate: float) -> None:
        self.engine.end_epoch()
        train_loss, count = total(self._losses[2:], self.process).tolist()
        self._losses[2:] = 0
        self.memory.broken = 0
        if (epoch + 1) % self.job.eval_interval == 0 or self.memory.step == self.steps:
            trained = time.monotonic() - self._epoch_begin
            found = self.engine.test(self.source, test_batch(self.job))
            self._add(
                {
                    "event": "eval",
                    "epoch": epoch,
                    "step": self.memory.step,
                    **found,
                    "train_loss": train_loss / count if count else None,
                    "lr": rate,
                }
            )
            self._last = (self._last[0], float(found["top1"]))
            self._keep_best(epoch, float(found["top1"]))
            self._time(epoch, trained)
        self._epoch_begin = time.monotonic()

    def _keep_best(self, epoch: int, top1: float) -> None:
        """Keep the weights of the best tests; the earlier of two that are alike."""
        memory = self.memory
        ranked = sorted([*memory.kept, {"epoch": epoch, "top1": top1}], key=lambda one: (-one["top1"], one["epoch"]))
        memory.kept, dropped = ranked[: self.job.checkpoint_hist], ranked[self.job.checkpoint_hist :]
        if not self.process.is_first or any(one["epoch"] == epoch for one in dropped):
            return
        folder = self.job.folder / WEIGHTS
        folder.mkdir(exist_ok=True)
        write_bytes_atomic(folder / _weights_name(epoch), weights(self.engine.result), overwrite=True)

    def _tidy_weights(self) -> None:
        """After a checkpoint, which knows what is kept: the best gets its name, and what is not kept goes."""
        folder = self.job.folder / WEIGHTS
        kept = [_weights_name(one["epoch"]) for one in self.memory.kept]
        for path in folder.glob("epoch-*"):
            if path.name not in kept:
                path.unlink(missing_ok=True)
        if kept:
            best = (folder / kept[0]).read_bytes()
            if not (self.job.folder / BEST).exists() or (self.job.folder / BEST).read_bytes() != best:
                write_bytes_atomic(self.job.folder / BEST, best, overwrite=True)

    def _time(self, epoch: int, seconds: float) -> None:
        if self.process.is_first:
            now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._timing.add({"time": now, "epoch": epoch, "train_seconds": round(seconds, 3)})

    def _tell(self, epoch: int, rate: float, loss: float | None, begun: int) -> None:
        self._last = (self._last[0] if loss is None else loss, self._last[1])
        spent, done = time.monotonic() - self._begin, self.memory.step - begun
        speed = done / spent if spent > 0 else 0.0
        self._show(
            Progress(
                epoch, self.epochs, self.memory.step, self.steps, self._last[0], rate,
                speed * self.order.batch_size,
                (self.steps - self.memory.step) / speed if speed else 0.0, self._last[1],
            )
        )  # fmt: skip

    # Checkpoints

    def _is_late(self) -> bool:
        """Whether the last checkpoint is so old that one is due in the middle of an epoch; all processes are asked."""
        return time.monotonic() - self._saved >= LONGEST

    def _is_due(self, ends: bool) -> bool:
        """Whether to write a checkpoint now; the first process' clock decides."""
        if self.job.recovery_interval and self.memory.step % self.job.recovery_interval == 0:
            return True
        if not ends:
            return False
        late = time.monotonic() - self._saved >= self.job.checkpoint_seconds or self.memory.step == self.steps
        return told("yes" if late else "", self.process) == "yes"

    def _save(self) -> None:
        if highest([not self.engine.is_sound()], self.process)[0]:
            raise DivergedError(
                f"weights are not finite after update {self.memory.step}; no checkpoint was written",
                "a smaller --set lr=... or --set clip_grad=1 may help",
            )
        training = self.engine.state() | {"losses": rows(self._losses, self.process)}
        if self.process.is_first:
            self.memory.metrics_bytes, self.memory.ledger_bytes = self._metrics.sync(), self._ledger.sync()
            state = asdict(self.memory)
            average = None if self.engine.average is None else self.engine.average.module
            save_checkpoint(self.job.folder, state, self.engine.model, average, training)
            self._tidy_weights()
        self._saved = time.monotonic()

    def _resume(self) -> None:
        """Go on from the newest checkpoint that is whole; a new run begins with one."""
        found = self._newest()
        if found is None:
            if self.process.is_first:
                Lines(self.job.folder / METRICS, 0), Lines(self.job.folder / LEDGER, 0)
            self._save()
            return
        self._load(found)
        self._talk(f"goes on after update {self.memory.step} of {self.steps}")

    def _newest(self) -> Checkpoint | None:
        """The same checkpoint in all processes: the one that the first finds."""
        text = ""
        if self.process.is_first:
            found = newest(self.job.folder, self._talk)
            text = "" if found is None else json.dumps([str(found.path), found.state])
        text = told(text, self.process)
        if not text:
            return None
        path, state = json.loads(text)
        return Checkpoint(Path(path), state)

    def _load(self, checkpoint: Checkpoint) -> None:
        self.memory = Memory(**checkpoint.state)
        average = None if self.engine.average is None else self.engine.average.module
        checkpoint.load_weights(self.engine.model, average)
        training = checkpoint.training()
        self.engine.load_state(training)
        losses = training["losses"]
        self._losses.copy_(losses[self.process.rank] if len(losses) == self.process.world else losses.mean(0))
        if self.process.is_first:
            self._metrics = Lines(self.job.folder / METRICS, self.memory.metrics_bytes)
            self._ledger = Lines(self.job.folder / LEDGER, self.memory.ledger_bytes)

    def _stop(self, wanted: int) -> None:
        self._save()
        where = f"update {self.memory.step} of {self.steps} is saved in {self.job.folder}"
        if wanted == INTERRUPT:
            self._talk(f"{where}; the same command goes on")
            raise KeyboardInterrupt
        raise RequeueError(f"told to end; {where}", "the same command goes on")

    # What goes wrong

    def _take_back(self, batch: Batch, step: int, wrong: str) -> None:
        """Go back to the last checkpoint and leave the batch out, or stop."""
        what = wrong or "gradient"
        if not self.engine.is_sound(statistics=False):
            what = "weight"
        indices = rows(batch.indices, self.process)
        place = self.job.folder / NONFINITE / f"step-{step:09d}"
        if self.process.is_first:
            save_evidence(place, batch, indices, self.engine.model, self._about(step, what))
        text = f"the {what} is not finite in update {step} (epoch {step // self.order.steps_per_epoch})"
        if len(self.memory.skipped) >= self.job.recipe.nonfinite_retries:
            raise DivergedError(
                f"{text}, after {len(self.memory.skipped)} batches that were left out; {place} has what is needed to "
                "see it again",
                "--set nonfinite_retries=3 leaves such batches out; a smaller --set lr=... may be the better answer",
            )
        found = self._newest()
        assert found is not None  # a run begins with one
        skipped = [*self.memory.skipped, step]
        self._load(found)
        self.memory.skipped = skipped
        self._save()
        self._talk(f"{text}: back to update {self.memory.step}, and without that batch")

    def _about(self, step: int, what: str) -> dict[str, Any]:
        return {
            "what": what,
            "step": step,
            "epoch": step // self.order.steps_per_epoch,
            "seed": self.job.seed,
            "processes": self.process.world,
        }

    def _note_broken(self, batch: Batch, step: int) -> None:
        """Write unreadable samples into the ledger; too many of them end the run."""
        counts = torch.zeros(self.process.world, dtype=torch.long)
        counts[self.process.rank] = len(batch.broken)
        if not sum(highest(counts.tolist(), self.process)):
            return
        found = _gathered(batch.broken, self.process)
        epoch = step // self.order.steps_per_epoch
        for one in found:
            self._talk(f"{one['file']}: cannot be read ({one['error']}); sample {one['replaced_by']} instead")
            if self.process.is_first:
                self._ledger.add({"epoch": epoch, "step": step, **one})
        self.memory.broken += len(found)
        self.memory.broken_total += len(found)
        most = self.job.recipe.bad_data_rate * self.order.samples
        if self.memory.broken > most:
            raise DataError(
                f"{self.memory.broken} samples of epoch {epoch} could not be read, more than {most:g} "
                f"({self.job.recipe.bad_data_rate:g} of {self.order.samples}); {self.job.folder / LEDGER} names them",
                "mend the data, or --set bad_data_rate=...",
            )

    # Files

    def _add(self, line: dict[str, Any]) -> None:
        if self.process.is_first:
            self._metrics.add(line)
            if self._board is not None:
                for name in ("loss", "lr", "top1", "top5"):
                    if isinstance(line.get(name), float):
                        self._board.add_scalar(f"{line['event']}/{name}", line[name], line["step"])

    def _start_files(self) -> None:
        if self.process.is_first:
            if self.network.spec is not None:
                write_text_atomic(self.job.folder / NETWORK, dump_spec(self.network.spec), overwrite=True)
            text = json.dumps(environment(self.process), indent=2) + "\n"
            write_text_atomic(self.job.folder / ENVIRONMENT, text, overwrite=True)

    def _finish(self, seconds: float, steps: int) -> dict[str, Any]:
        """Weights, tables, pictures; ``result.json`` comes last, and says that all is there."""
        memory, folder = self.memory, self.job.folder
        result = {
            "schema": "madnas/train/1",
            "network": self.job.target.word,
            "recipe": self.job.recipe_name,
            "seed": self.job.seed,
            "epochs": self.epochs,
            "updates": self.steps,
            "best": memory.best,
            "last": self._last_test(),
            "skipped_updates": memory.skipped,
            "unreadable_samples": memory.broken_total,
            "params": sum(one.numel() for one in self.engine.model.parameters()),
            "folder": str(folder),
        }
        if self.process.is_first:
            from madnas.report.training import write_report

            write_bytes_atomic(folder / FINAL, weights(self.engine.result), overwrite=True)
            metrics = self._metrics.read()
            write_summary(folder, metrics)
            write_report(folder, result, metrics, self.job.recipe.settings(), environment(self.process))
            write_text_atomic(folder / RESULT, json.dumps(result, indent=2) + "\n", overwrite=True)
            if self._board is not None:
                self._board.close()
        told("", self.process)  # nobody leaves before all is written
        speed = round(steps * self.order.batch_size / seconds, 1) if steps else None
        return result | {"seconds": round(seconds, 1), "images_per_second": speed, "was_finished": False}

    def _last_test(self) -> dict[str, Any] | None:
        if not self.process.is_first:
            return None
        tests = [line for line in self._metrics.read() if line["event"] == "eval"]
        return {name: tests[-1][name] for name in ("epoch", "loss", "top1", "top5", "n")} if tests else None


def _weights_name(epoch: int) -> str:
    return f"epoch-{epoch:05d}.safetensors"


def _gathered(items: list[dict[str, Any]], process: Process) -> list[dict[str, Any]]:
    if process.world == 1:
        return items
    found: list[Any] = [None] * process.world
    torch.distributed.all_gather_object(found, items)
    return [one for part in found for one in part]


def _tensorboard(folder: Path, step: int) -> Any:
    """A writer, where TensorBoard is installed; what an interrupted run wrote after this step is hidden."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder / "events"), purge_step=step + 1)
