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
from madnas.device import explained, keep_freed_memory
from madnas.errors import DivergedError, ReaderError, RequeueError
from madnas.files import check_folder
from madnas.models.weights import weights
from madnas.runfolder import UNFINISHED, claimed_folder, remove
from madnas.train.best import FOLDER as WEIGHTS
from madnas.train.best import existing, ranked, tidy_weights, write_weights
from madnas.train.build import Talk, new_engine
from madnas.train.checkpoint import BEGUN, Checkpoint, newest, save_checkpoint, unloadable
from madnas.train.checkpoint import FOLDER as CHECKPOINTS
from madnas.train.distributed import highest, processes, rows, told, total
from madnas.train.environment import environment
from madnas.train.evidence import NONFINITE, save_about, save_batch
from madnas.train.job import Job
from madnas.train.kinds import KINDS
from madnas.train.log import Records
from madnas.train.memory import Memory, Progress
from madnas.train.model import Network
from madnas.train.optimise import total_epochs
from madnas.train.results import BELONGINGS, finished, result_of, write_description, write_results
from madnas.train.signals import INTERRUPT, NOTHING, Wish, wishes
from madnas.train.task import task_of
from madnas.train.unreadable import note_unreadable

WEIGHT = "weight"
"""What is not finite, where it is not the loss or a gradient: a weight, or a statistic."""
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
    with wishes() as wish, explained(), processes(job.device) as process:
        device = process.device
        task = task_of(job.recipe)
        if process.is_first:
            check_folder(job.folder)  # reading the data may take minutes
        source = task.open_data(job.recipe, job.data, job.seed, job.target, job.workers, device)
        network = task.fitted(job.target, source.facts)
        order = Order(source.facts.train, job.recipe.batch_size, job.seed)
        job.check_shares(process.world)
        if device.type == "cpu":
            keep_freed_memory()
        talk = talk if process.is_first else _silent
        for note in source.facts.notes:
            talk(note)
        run = Run(job, source, network, order, process, show, talk, wish)  # what cannot be built claims no folder
        with _folder(job, source, process):
            result = run.go()
        wish.waits = False  # nobody looks any more
        return result


def _folder(job: Job, source: Source, process: Process) -> AbstractContextManager[Any]:
    if not process.is_first:
        return nullcontext()
    return claimed_folder(job.folder, job.identity(source.facts), BELONGINGS, job.restart)


def _silent(text: str) -> None:
    """Other processes than the first say nothing."""


class _Unsound(DivergedError):
    """Weights or statistics are not finite; all processes know."""


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
        wish: Wish,
    ) -> None:
        self.job, self.source, self.network, self.order, self.process = job, source, network, order, process
        self._show, self._talk, self._wish = show, talk, wish
        self._metric = KINDS[job.recipe.task].metrics[0]
        self._test_batch = task_of(job.recipe).test_batch
        self.engine = new_engine(job, source, network, order, process, talk)
        self.engine.settle()
        self.epochs = total_epochs(job.recipe)
        self.steps = self.epochs * order.steps_per_epoch
        self.memory = Memory()
        self._losses = torch.zeros(4, dtype=torch.float64, device=process.device)
        self._records = Records(job.folder, process.is_first)
        self._last: tuple[float | None, float | None] = (None, None)
        self._begin = self._saved = self._epoch_begin = time.monotonic()

    def go(self) -> dict[str, Any]:
        """Train what is left, and write the results."""
        text = told(json.dumps(finished(self.job.folder)) if self.process.is_first else "", self.process)
        found: dict[str, Any] | None = json.loads(text)
        if found is not None:
            return found | {"folder": str(self.job.folder), "was_finished": True}
        self._resume()
        self._wish.waits = True
        if self.process.is_first:
            write_description(self.job, self.network.spec, environment(self.process))
        self._records.open_board(self.memory.step)
        self._begin = self._saved = self._epoch_begin = time.monotonic()
        begun = self.memory.step
        if self.memory.pending is not None:
            self._test()
            self._save()
        try:
            while self.memory.step < self.steps:
                self._train(begun)
        except ReaderError:  # a signal to the whole group may reach one that is only being started
            if self._wish.value == NOTHING or self.process.world > 1:
                raise
            self._stop(self._wish.value)
        return self._finish(time.monotonic() - self._begin, self.memory.step - begun)

    def _train(self, begun: int) -> None:
        """Updates until the end, or until one has to be taken back."""
        for batch in self.source.train(self.order, self.memory.step, self.steps, self.process):
            step = self.memory.step
            note_unreadable(batch, step, self.job, self.order, self.process, self.memory, self._records, self._talk)
            skipped = step in self.memory.skipped
            update = None if skipped else self.engine.propose(batch, step)
            wrong = "" if update is None else update.wrong
            wanted, failed, late = highest([self._wish.value, bool(wrong), self._is_late()], self.process)
            if failed:
                self._take_back(batch, step, wrong or "gradient")
                return
            left_out = False
            if update is None:
                self._records.add({"event": "skipped", "epoch": step // self.order.steps_per_epoch, "step": step + 1})
                rate = self.engine.rate_at(step)
            else:
                left_out = self.engine.accept(step)
                rate = update.rate
                self._losses += torch.stack([update.loss.double(), update.loss.new_ones((), dtype=torch.float64)] * 2)
            self.memory.step += 1
            self.memory.overflows += left_out
            try:
                self._after(rate, begun, bool(late))
                if wanted != NOTHING:
                    self._stop(wanted)
            except _Unsound:
                self._take_back(batch, step + 1, WEIGHT)
                return

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
        self._records.add({"event": "train", "epoch": epoch, "step": step, "loss": loss, "lr": rate})
        return loss

    def _end_epoch(self, epoch: int, rate: float) -> None:
        self.engine.end_epoch()
        train_loss, count = total(self._losses[2:], self.process).tolist()
        self._losses[2:] = 0
        self.memory.broken = 0
        self._records.add_time(epoch, time.monotonic() - self._epoch_begin)
        if self.engine.alphas:
            self._records.add({"event": "alphas", "epoch": epoch, "step": self.memory.step,
                               "alphas": self.engine.alphas})  # fmt: skip
        if (epoch + 1) % self.job.eval_interval == 0 or self.memory.step == self.steps:
            self.memory.pending = {"epoch": epoch, "train_loss": train_loss / count if count else None, "lr": rate}
            self._test()
        self._epoch_begin = time.monotonic()

    def _test(self) -> None:
        """The pending test. A signal puts it off: the same command begins with it."""
        assert self.memory.pending is not None
        self._check_sound()
        found = self.engine.test(self.source, self._test_batch, self._look)
        epoch, train_loss, rate = (self.memory.pending[name] for name in ("epoch", "train_loss", "lr"))
        self._records.add({"event": "eval", "epoch": epoch, "step": self.memory.step, **found,
                           "train_loss": train_loss, "lr": rate})  # fmt: skip
        score = found[self._metric.name]
        assert score is not None  # the first metric is there in every test
        self._last = (self._last[0], float(score))
        self.memory.kept = ranked(self.memory.kept, epoch, float(score), self.job.checkpoint_hist, self._metric.name)
        self.memory.pending = None
        if self.process.is_first and any(one["epoch"] == epoch for one in self.memory.kept):
            write_weights(self.job.folder, epoch, weights(self.engine.result))

    def _tell(self, epoch: int, rate: float, loss: float | None, begun: int) -> None:
        self._last = (self._last[0] if loss is None else loss, self._last[1])
        spent, done = time.monotonic() - self._begin, self.memory.step - begun
        speed = done / spent if spent > 0 else 0.0
        self._show(
            Progress(
                epoch, self.epochs, self.memory.step, self.steps, self._last[0], rate,
                speed * self.order.batch_size,
                (self.steps - self.memory.step) / speed if speed else 0.0, self._metric, self._last[1],
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

    def _look(self) -> None:
        """End the run if any process was told to."""
        wanted = highest([self._wish.value], self.process)[0]
        if wanted != NOTHING:
            self._stop(wanted)

    def _check_sound(self) -> None:
        if highest([not self.engine.is_sound()], self.process)[0]:
            raise _Unsound(f"weights are not finite after update {self.memory.step}; no checkpoint was written")

    def _save(self) -> None:
        self._check_sound()
        training = self.engine.state() | {"losses": rows(self._losses, self.process)}
        if self.process.is_first:
            self.memory.metrics_bytes, self.memory.ledger_bytes = self._records.sync()
            state = asdict(self.memory)
            average = None if self.engine.average is None else self.engine.average.module
            save_checkpoint(self.job.folder, state, self.engine.model, average, training)
            tidy_weights(self.job.folder, self.memory.kept)
        self._saved = time.monotonic()

    def _resume(self) -> None:
        """Go on from the newest checkpoint that is whole; a new run begins with one."""
        found = self._newest()
        if self.process.is_first:
            for folder in (CHECKPOINTS, WEIGHTS):
                for pattern in (UNFINISHED, f"{BEGUN}*"):
                    remove(self.job.folder / folder, pattern)
        if found is None:
            self._records.go_back(0, 0, self._talk)
            for one in self.source.facts.left_out:
                self._records.add_broken(one)
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
        average = None if self.engine.average is None else self.engine.average.module
        checkpoint.load_weights(self.engine.model, average)
        training = checkpoint.training()
        try:
            self.memory = Memory(**checkpoint.state)
            self.engine.load_state(training)
            losses = training["losses"]
            self._losses.copy_(losses[self.process.rank] if len(losses) == self.process.world else losses.mean(0))
            if self.process.is_first:
                self._records.go_back(self.memory.metrics_bytes, self.memory.ledger_bytes, self._talk)
                self.memory.kept = existing(self.job.folder, self.memory.kept, self._talk)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, RuntimeError) as error:
            raise unloadable(checkpoint.path, error) from error  # whole, and not of this run

    def _stop(self, wanted: int) -> None:
        self._save()
        told("", self.process)  # a launcher ends all when one leaves: nobody does before the checkpoint is there
        where = f"update {self.memory.step} of {self.steps} is saved in {self.job.folder}"
        if wanted == INTERRUPT:
            self._talk(f"{where}; the same command goes on")
            raise KeyboardInterrupt
        raise RequeueError(f"told to end; {where}", "the same command goes on")

    # What goes wrong

    def _take_back(self, batch: Batch, step: int, what: str) -> None:
        """Go back to the last checkpoint and leave the batch out, or stop."""
        if not self.engine.is_sound(everything=False):
            what = WEIGHT
        if what == WEIGHT:  # the update before made it so, and this one found out
            step = max(0, step - 1)
        place = self.job.folder / NONFINITE / f"step-{step:09d}"
        if what != WEIGHT:
            self.engine.seed_all(step)  # random numbers as the update began with them
            save_batch(place, batch, self.process.rank)
        if self.process.is_first:
            save_about(place, self.order.batch(step), self.engine.model, self._about(step, what))
        self.engine.refuse()
        text = f"the {what} is not finite in update {step} (epoch {step // self.order.steps_per_epoch})"
        if len(self.memory.skipped) >= self.job.recipe.nonfinite_retries:
            left_out = len(self.memory.skipped)
            before = f", after {left_out} batches that were left out" if left_out else ""
            raise DivergedError(
                f"{text}{before}; {place} has what is needed to see it again",
                f"--set nonfinite_retries={left_out + 3} leaves such batches out; a smaller --set lr=... may be the "
                "better answer",
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

    # The end

    def _finish(self, seconds: float, steps: int) -> dict[str, Any]:
        metrics = self._records.metrics() if self.process.is_first else []
        result = result_of(self.job, self.memory, self.engine.model, self.epochs, metrics)
        if self.process.is_first:
            tidy_weights(self.job.folder, self.memory.kept)  # a kill behind the last checkpoint may have left it out
            write_results(self.job, result, self.engine.result, metrics, environment(self.process))
        self._records.close()
        told("", self.process)  # nobody leaves before all is written
        speed = round(steps * self.order.batch_size / seconds, 1) if steps else None
        return result | {"seconds": round(seconds, 1), "images_per_second": speed, "was_finished": False}
