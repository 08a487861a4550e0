"""Result files of every kind with made-up numbers: they test the report, and say nothing about any machine."""

from common import results

RECEIVERS = {"rxdrop": 4.4, "engine": 4.3, "engine_lua_count": 4.25, "engine_lua_flows": 4.2, "libpcap": 1.2,
             "tcpdump": 0.8}


def spread(middle, rounds=5, width=0.03):
    """Rounds around a value, the median in the middle: no random numbers in a test."""
    return results.series([middle * (1 + width * (at - rounds // 2) / rounds) for at in range(rounds)])


def result(name, values, notes=(), **params):
    return {"name": name, "params": params, "values": values, "notes": list(notes)}


def document(kind, made, ratios=(), missing=(), **more):
    return results.document(kind, made, ratios, missing, command=f"made-up {kind} --rounds 5 </script> <b>", **more)


def peers():
    made = [result(name, {"rate_pps": spread(rate * 1e6), "cpu_ns_per_packet": spread(600 / rate),
                          "buffer_bytes": results.series([2**24 / rate] * 3), "memory_bytes": results.series([9e6 / rate]),
                          "lost": 0, "cycles_per_packet": None}, frame_bytes=64)
            for name, rate in RECEIVERS.items()]
    made[0]["notes"].append("cycles: this machine has no counters | <i>none</i>")
    rounds = {name: spread(rate)["rounds"] for name, rate in RECEIVERS.items()}
    ratios = [results.ratio(f"{a} / {b}: rate_pps", rounds[a], rounds[b], "higher", target) for a, b, target in
              (("engine_lua_flows", "rxdrop", 0.97), ("engine_lua_flows", "libpcap", 3.5), ("engine", "rxdrop", None))]
    return document("peers", made, ratios,
                    [{"name": "suricata", "reason": "is not installed", "remedy": "bench/peers/install"}],
                    interface={"name": "cap0", "driver": "veth", "mode": "copy", "queues": 1, "mtu_bytes": 1500},
                    traffic={"frame_bytes": 64, "flows": 1024})


def search():
    made = [result("search", {"rate_pps": spread(rate * 1e6 / (1 + size / 2000))}, frame_bytes=size - 4,
                   wire_bytes=size, mode=mode)
            for mode, rate in (("copy", 4.4), ("afpacket", 1.3)) for size in (64, 128, 256, 512, 1024, 1280, 1518)]
    return document("search", made)


def latency():
    made = []
    for name, base in (("wire_to_lua", 6e3), ("wire_to_result", 2e4), ("libpcap_immediate", 4e4)):
        made.append(result(name, {f"latency_{percentile}_ns": spread(base * times) for percentile, times in
                                  (("p50", 1), ("p90", 1.4), ("p99", 2.2), ("p99_9", 9), ("p99_99", 60), ("max", 300))}))
    return document("latency", made)


def pipeline():
    stages = {"touch": 2.4, "decode": 6.1, "decode_and_lua_count": 8.9, "flows_10000": 19.5, "flows_1000000": 23.7}
    return document("pipeline", [result(name, {"ns_per_packet": spread(cost)}, traffic="udp", batch=64)
                                 for name, cost in stages.items()],
                    [results.ratio("decode_and_lua_count / touch", [8.9] * 3, [2.4, 2.3, 2.5], "lower", 4)])


def micro():
    return document("micro", [result("spsc_single_ours", {"ns_per_operation": spread(1.1)}, record_bytes=16),
                              result("spsc_single_boost", {"ns_per_operation": spread(2.9)}, record_bytes=16)],
                    [results.ratio("spsc/single: ours / boost: ns_per_operation", [1.1, 1.2], [2.9, 2.8], "lower")])


EVERY_KIND = {"peers": peers, "search": search, "latency": latency, "pipeline": pipeline, "micro": micro}


def write_all(folder):
    """One file of each kind; their paths."""
    paths = []
    for kind, make in EVERY_KIND.items():
        paths.append(folder / f"{kind}.json")
        results.write(paths[-1], make())
    return paths
