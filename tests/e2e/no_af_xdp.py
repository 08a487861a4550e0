"""Runs a command under a seccomp filter that answers socket(AF_XDP, ...) as a kernel without it does: EAFNOSUPPORT."""

import ctypes
import os
import struct
import sys

AF_XDP, EAFNOSUPPORT, SYS_SOCKET_X86_64 = 44, 97, 41
LD_W_ABS, JEQ, RET = 0x20, 0x15, 0x06
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
NR_OFFSET, FIRST_ARGUMENT_OFFSET = 0, 16  # struct seccomp_data

program = b"".join(struct.pack("HBBI", *step) for step in (
    (LD_W_ABS, 0, 0, NR_OFFSET),
    (JEQ, 0, 3, SYS_SOCKET_X86_64),
    (LD_W_ABS, 0, 0, FIRST_ARGUMENT_OFFSET),
    (JEQ, 0, 1, AF_XDP),
    (RET, 0, 0, ERRNO | EAFNOSUPPORT),
    (RET, 0, 0, ALLOW),
))
steps = ctypes.create_string_buffer(program, len(program))


class SockFprog(ctypes.Structure):
    _fields_ = [("len", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


libc = ctypes.CDLL(None, use_errno=True)
fprog = SockFprog(len(program) // 8, ctypes.addressof(steps))
assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
assert libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(fprog), 0, 0) == 0, os.strerror(ctypes.get_errno())
os.execv(sys.argv[1], sys.argv[1:])
