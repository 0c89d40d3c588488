"""What a process costs is kept apart from the cost of others."""

import subprocess
import sys

from bench.processes import cpu_s, family, peak_mb

BUSY = "import sys, time\nwhile time.process_time() < 0.2: pass\nprint('.', flush=True)\ninput()"
SHELL = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', sys.argv[1]])"


def test_processor_time_of_a_child_is_counted_with_its_family_only():
    command = [sys.executable, "-c", SHELL, BUSY]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as parent:
        parent.stdout.read(1)
        [first, *children] = family(parent.pid)
        assert first == parent.pid
        assert sum(map(cpu_s, children)) >= 0.2
        assert peak_mb(parent.pid) > 1
        parent.stdin.write(b"\n")
        parent.stdin.close()


def test_a_process_that_is_gone_costs_nothing():
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    assert cpu_s(gone.pid) == 0
