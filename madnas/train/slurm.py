"""A batch script for SLURM: one task for every GPU, a checkpoint before the time is up, and back into the queue."""

import shlex
from collections.abc import Sequence

TEMPLATE = """\
#!/bin/bash
#SBATCH --job-name=madnas
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task={cpus}
#SBATCH --time=24:00:00
#SBATCH --signal=USR1@300
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=%x-%j.log

# Submit it from the environment that has madnas: jobs inherit it. Five minutes before the end every task is sent
# SIGUSR1: after the update at hand (a test is put off) madnas writes a checkpoint and ends with 75, and the job goes
# back into the queue. The same command then goes on where it stopped. When one task has ended, the others have a minute
# for it: killed at once, they would turn 75 into 137.
export MASTER_ADDR=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export MASTER_PORT=$((20000 + SLURM_JOB_ID % 20000))

srun --kill-on-bad-exit=0 --wait=60 {command}
code=$?
if [ $code -eq 75 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit $code
"""


def slurm_script(arguments: Sequence[str], workers: int) -> str:
    """A script that runs ``madnas train`` with these arguments on 8 GPUs; its head is there to be changed.

    Args:
        arguments: of the command.
        workers: processes that read files for each GPU; each gets a core.
    """
    return TEMPLATE.format(command=shlex.join(["madnas", "train", *arguments]), cpus=workers + 1)
