/* The root program as it runs on one device only, which it asks for what it knows about a frame. An object of its own:
 * the kernel refuses others that so much as mention these functions, and to resolve them takes the kernel's type
 * information, which a machine may lack. */
#define ROOT_ASKS_FOR_HINTS 1
#include "bpf/root.bpf.c"
