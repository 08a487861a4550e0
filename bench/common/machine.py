"""What a figure was measured on, as every result file says it. From /proc and /sys; what cannot be read is null."""

import ctypes
import os
import pathlib
import platform
import re
import subprocess

CPUS = pathlib.Path("/sys/devices/system/cpu")
# linux/perf_event.h: struct perf_event_attr is 64 bytes in its first version (PERF_ATTR_SIZE_VER0).
ATTRIBUTE_BYTES = 64
EXCLUDE_KERNEL_AND_HYPERVISOR = 1 << 5 | 1 << 6
SYSCALL_PERF_EVENT_OPEN = {"x86_64": 298, "aarch64": 241}


def describe():
    """The "machine" of engine-bench/1."""
    info = text("/proc/cpuinfo") or ""
    memory = re.search(r"^MemTotal:\s+(\d+) kB", text("/proc/meminfo") or "", re.M)
    return {
        "cpu": named(info, "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads_per_core": siblings(),
        "numa_nodes": len(list(pathlib.Path("/sys/devices/system/node").glob("node[0-9]*"))) or 1,
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "kernel": platform.release(),
        "hypervisor": hypervisor(info),
        "governor": text(CPUS / "cpu0/cpufreq/scaling_governor"),
        "mitigations": {path.name: text(path) for path in sorted((CPUS / "vulnerabilities").glob("*"))},
        "counters": has_counters(),
    }


def text(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def named(info, name):
    found = re.search(rf"^{name}\s*:\s*(.+)$", info, re.M)
    return found[1].strip() if found else None


def siblings():
    """Hardware threads of core 0: "0-1" or "0,32" is two."""
    listed = text(CPUS / "cpu0/topology/thread_siblings_list") or "0"
    spans = [part.split("-") for part in listed.split(",")]
    return sum(int(span[-1]) - int(span[0]) + 1 for span in spans)


def hypervisor(info):
    """Which one, if the processor says that there is one. Its name is behind CPUID, which lscpu reads."""
    if not re.search(r"^flags\s*:.*\bhypervisor\b", info, re.M):
        return None
    try:
        listed = subprocess.run(["lscpu"], capture_output=True, text=True, check=True, env={"LC_ALL": "C"}).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    return (named(listed, "Hypervisor vendor") or "not named").lower()


def has_counters():
    """Whether a cycle counter can be opened: PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, this process, any CPU."""
    number = SYSCALL_PERF_EVENT_OPEN.get(platform.machine())
    if number is None:
        return False
    attribute = (ctypes.c_uint32 * (ATTRIBUTE_BYTES // 4))(0, ATTRIBUTE_BYTES)
    attribute[10] = EXCLUDE_KERNEL_AND_HYPERVISOR  # needs no privilege then
    descriptor = ctypes.CDLL(None, use_errno=True).syscall(number, attribute, 0, -1, -1, 0)
    if descriptor < 0:
        return False
    os.close(descriptor)
    return True
