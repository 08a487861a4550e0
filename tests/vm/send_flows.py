"""Sends UDP frames of many flows from a packet socket, and prints how many went out.

The generator's AF_XDP sockets do not do on a tap interface: the kernel does not look into their frames for a flow hash,
so they all go to one of its queues.

usage: send_flows.py INTERFACE COUNT FLOWS PER_SECOND
"""

import pathlib
import socket
import struct
import sys
import time

BATCH = 20


def frame(flow):
    udp = struct.pack("!HHHH", 1024 + flow, 9, 26, 0) + bytes(18)
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes((10, 0, flow >> 8, flow & 255)),
                         bytes((198, 18, 0, 1)))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    return bytes((2, 0, 0, 0, 0, 2)) + bytes((2, 0, 0, 0, 0, 1)) + b"\x08\0" + header + udp


def main(interface, count, flows, per_second):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    sender.bind((interface, 0))
    dropped = pathlib.Path(f"/sys/class/net/{interface}/statistics/tx_dropped")
    before = int(dropped.read_text())
    frames = [frame(flow) for flow in range(flows)]
    start = time.monotonic()
    for number in range(count):
        if number % BATCH == 0:
            time.sleep(max(0.0, start + number / per_second - time.monotonic()))
        sender.send(frames[number % flows])
    print(count - (int(dropped.read_text()) - before))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
