"""What a running process and the whole machine cost, read from outside: CPU time, memory, when it has nothing to do."""

import os
import pathlib
import re
import time

NS_PER_TICK = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
# How the kernel numbers another process's CPU clocks (include/linux/posix-timers_types.h): utime + stime by ticks,
# utime by ticks, and the scheduler's exact count. Threads that have ended are in them.
PROF, VIRT, SCHED = 0, 1, 2


def _clock_ns(pid, which):
    return time.clock_gettime_ns((~pid << 3) | which)


def process_cpu(pid):
    """CPU time so far in ns. The sum is exact; how it divides into user and kernel is sampled by the kernel's tick."""
    return {"total": _clock_ns(pid, SCHED), "by_ticks": _clock_ns(pid, PROF), "user_by_ticks": _clock_ns(pid, VIRT)}


def threads_cpu(pid, name):
    """CPU time so far in ns, exact, of the threads whose names begin so."""
    spent = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        if (task / "comm").read_text(encoding="utf-8").startswith(name):
            spent += int((task / "schedstat").read_text(encoding="ascii").split()[0])
    return spent


def process_cpu_since(before, now):
    total, by_ticks = now["total"] - before["total"], now["by_ticks"] - before["by_ticks"]
    user = total * (now["user_by_ticks"] - before["user_by_ticks"]) / by_ticks if by_ticks else 0.0
    return {"total": total, "user": user, "kernel": total - user}


def machine_cpu():
    """Of all CPUs together, in ns: what /proc/stat has (by ticks)."""
    with open("/proc/stat", encoding="ascii") as file:
        user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, file.readline().split()[1:])
    return {"softirq": softirq * NS_PER_TICK, "busy": (user + nice + system + irq + softirq) * NS_PER_TICK}


def await_idle(pid, quiet_s=0.1, timeout_s=60.0):
    """Waits until the process has used less than a tenth of a core for `quiet_s`: then its buffers are empty."""
    deadline = time.monotonic() + timeout_s
    used, since = _clock_ns(pid, SCHED), time.monotonic()
    while time.monotonic() < deadline:
        time.sleep(0.05)
        used, before = _clock_ns(pid, SCHED), used
        if used - before >= 5_000_000:
            since = time.monotonic()
        elif time.monotonic() - since >= quiet_s:
            return
    raise SystemExit(f"process {pid} was still busy {timeout_s} s after the sender had ended")


def memory(pid):
    """Bytes: all that is resident (of libraries its share), and of that what is mapped from sockets: packet rings."""
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as file:
        text = file.read()
    rings = 0
    for mapping in re.split(r"\n(?=[0-9a-f]+-[0-9a-f]+ )", text):
        if "socket:[" in mapping.split("\n", 1)[0]:
            rings += int(re.search(r"^Rss:\s+(\d+) kB", mapping, re.M)[1]) * 1024
    with open(f"/proc/{pid}/smaps_rollup", encoding="utf-8") as file:
        rollup = file.read()
    return {"rings": rings, "pss": int(re.search(r"^Pss:\s+(\d+) kB", rollup, re.M)[1]) * 1024}
