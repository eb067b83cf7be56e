# SPDX-License-Identifier: Apache-2.0
"""Records encoded by Ray Data, on a local Ray of two workers, are those that processes of this machine encode."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from finesight.data.record import Record
from finesight.data.shards import write_shard

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-ray" / "bin" / "python"
SECONDS = 900

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(not PYTHON.exists(), reason="scripts/ray-venv.sh makes .venv-ray"),
]

START = "import sys; from ray.scripts.scripts import main; sys.exit(main())"
SCRIPT = """
import json, sys
from pathlib import Path
from finesight.data.loader import LoaderConfig, PackStream, read_packs

folder, model, skip = Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])
found = {}
for executor, workers in (("processes", 0), ("ray", 2)):
    config = LoaderConfig(
        source=[{"path": folder}], pack_tokens=300, epochs=2, executor=executor, workers=workers,
        skip_share=skip,
    )
    packs = list(read_packs(PackStream(config, model)))
    found[executor] = [
        [pack.records, pack.batch.input_ids.tolist(), float(pack.batch.vision.patches.sum()), pack.skipped]
        for pack in packs
    ]
print("found " + json.dumps(found))
"""


def write(folder):
    records = []
    for number in range(24):
        image = np.random.default_rng(number).integers(0, 256, (56, 56, 3), dtype=np.uint8)
        turns = (("What is it?", f"picture {number}"),)
        meta = {"split": "train", "generator": "test"}
        records.append(Record.of_picture(id=f"r{number}", image=image, turns=turns, meta=meta))
    write_shard(folder / "a.tar", records)


def free_ports(count):
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Variables that lead to a local Ray of two workers. Ray does not wait for agents whose ports are given."""
    home = tmp_path_factory.mktemp("home")
    names = (
        *("port", "dashboard-agent-grpc-port", "dashboard-agent-listen-port"),
        *("metrics-export-port", "runtime-env-agent-port"),
    )
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    variables = {
        **os.environ,
        "HOME": str(home),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_raylet_start_wait_time_s": str(SECONDS // 2),  # a busy machine
        "RAY_agent_register_timeout_ms": str(1000 * SECONDS // 2),
    }
    options = [f"--{name}={port}" for name, port in ports.items()]
    command = [PYTHON, "-c", START, "start", "--head", "--num-cpus=2", "--block", *options]
    with (home / "log").open("w+") as log:
        process = subprocess.Popen(command, env=variables, stdout=log, stderr=log)
        deadline = time.monotonic() + SECONDS
        while "Ray runtime started" not in (home / "log").read_text():
            assert process.poll() is None, (home / "log").read_text()
            assert time.monotonic() < deadline, (home / "log").read_text()
            time.sleep(0.5)
        yield {**variables, "RAY_ADDRESS": f"127.0.0.1:{ports['port']}"}
        process.terminate()
        process.wait(120)


def run(folder, model_folder, skip_share, environment):
    """Packs of both executors."""
    done = subprocess.run(
        [PYTHON, "-c", SCRIPT, folder, model_folder, str(skip_share)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    (line,) = [each for each in done.stdout.splitlines() if each.startswith("found ")]
    return json.loads(line.removeprefix("found "))


def test_packs_are_those_of_local_processes(tiny_model_folder, tmp_path, environment):
    write(tmp_path / "data")
    found = run(tmp_path / "data", tiny_model_folder, 0.0, environment)
    assert found["ray"] == found["processes"]
    names = [name for records, *_ in found["ray"] for name in records]
    assert sorted(names) == sorted([f"r{number}" for number in range(24)] * 2)


def test_a_corrupt_record_is_skipped_on_the_cluster_as_well(
    tiny_model_folder, tmp_path, environment
):
    write(tmp_path / "data")
    part = tmp_path / "data" / "a.tar"
    body = bytearray(part.read_bytes())
    body[2000:2100] = bytes(100)
    part.write_bytes(bytes(body))
    found = run(tmp_path / "data", tiny_model_folder, 0.05, environment)
    assert found["ray"] == found["processes"]
    messages = [message for *_, skipped in found["ray"] for message in skipped]
    assert len(messages) == 2  # in each epoch
    assert all("record" in one for one in messages)
