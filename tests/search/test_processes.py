"""The command in processes of its own: the same for any number of them, and after SIGKILL."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

from madnas.network.specfile import load_spec

ZEN = [
    "design", "--method", "evolution", "--score", "zen - 0.01*macs/1M", "--params", "60K", "--input", "3x16x16",
    "--classes", "10", "--max-depth", "8", "--batch-size", "2", "--survivors", "6", "--repeats", "2",
    "--candidates", "18", "--proposals", "256", "--population", "16",
]  # fmt: skip
CLOSED = [
    "design", "--method", "evolution", "--score", "zen-closed", "--params", "60K", "--input", "3x16x16", "--proposals",
    "256", "--classes", "10", "--candidates", "12000",
]  # fmt: skip


def command(*arguments, cwd, **options):
    return subprocess.Popen([sys.executable, "-m", "madnas", *arguments], cwd=cwd, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **options)  # fmt: skip


def finished(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()
    return out


@pytest.mark.slow
def test_any_number_of_processes_gives_the_same(tmp_path):
    documents = []
    for workers in (1, 2, 16):
        out = finished(command(*ZEN, "--workers", str(workers), "-o", f"{workers}.yaml", "--json", cwd=tmp_path))
        documents.append({name: one for name, one in json.loads(out).items() if name != "rates"})
    assert documents[0] == documents[1] == documents[2]  # the population's course among it
    assert len({(tmp_path / f"{workers}.yaml").read_bytes() for workers in (1, 2, 16)}) == 1


@pytest.mark.slow
def test_torchrun_gives_what_one_process_gives(tmp_path):
    finished(command(*ZEN, "--workers", "1", "-o", "1.yaml", cwd=tmp_path))
    run_ = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d",
            "--rdzv-endpoint", "127.0.0.1:0", "-m", "madnas"]  # fmt: skip
    done = subprocess.run([*run_, *ZEN, "-o", "2.yaml", "--json"], cwd=tmp_path, capture_output=True, timeout=200)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["search"]["scored"] >= 18
    assert (tmp_path / "1.yaml").read_bytes() == (tmp_path / "2.yaml").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("arguments", [ZEN, CLOSED])
def test_killed_at_any_moment_the_same_command_goes_on_to_the_same_result(arguments, tmp_path):
    finished(command(*arguments, "-o", "whole.yaml", cwd=tmp_path))
    choose, kills = random.Random(0), 0
    journal = tmp_path / "net.yaml.jsonl"
    while not (tmp_path / "net.yaml").exists():
        process = command(*arguments, "-o", "net.yaml", cwd=tmp_path)
        size = journal.stat().st_size if journal.exists() else 0
        until = time.monotonic() + 60
        while kills < 4 and process.poll() is None and time.monotonic() < until:
            if journal.exists() and journal.stat().st_size > size + 50:
                time.sleep(choose.random() * 0.2)
                process.kill()
                kills += 1
                break
            time.sleep(0.002)
        process.communicate(timeout=120)
        assert process.returncode in (0, -signal.SIGKILL)
    assert kills
    assert (tmp_path / "net.yaml").read_bytes() == (tmp_path / "whole.yaml").read_bytes()


@pytest.mark.slow
def test_an_interrupt_leaves_a_usable_result_and_the_same_command_goes_on(tmp_path):
    process = command(*CLOSED[:-1], "100000000", "-o", "net.yaml", "--json", cwd=tmp_path)
    journal, until = tmp_path / "net.yaml.jsonl", time.monotonic() + 60
    while not (journal.exists() and journal.stat().st_size > 100_000) and time.monotonic() < until:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err.decode()
    document = json.loads(out)
    assert document["interrupted"] and document["spec"]["groups"]
    assert load_spec(str(tmp_path / "net.yaml")).groups
    rounds = document["search"]["rounds"]
    more = json.loads(
        finished(command(*CLOSED[:-1], str(256 * rounds + 2000), "-o", "net.yaml", "--json", cwd=tmp_path))
    )
    assert not more["interrupted"] and more["search"]["rounds"] > rounds
    assert more["fitness"]["value"] >= document["fitness"]["value"]
