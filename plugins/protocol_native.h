/* The standard library's parsers as Lua's FFI sees them; rules as in native.h. Implemented by plugins/protocols/.
 *
 * Each protocol has one object per state, which parse() fills: numbers and places, never texts. Texts are made by the
 * calls behind it, when a plugin reads one. `_generation` and `_packet` are the packet's it was filled from: what has
 * others is used after its packet, and its places must not be followed.
 *
 * Members named `_off` are bytes from the worker's frame memory, the other places bytes from there.
 */
#pragma once

#include "plugins/abi.h"
#include "plugins/native.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The link layer: Ethernet, and up to two VLAN tags. */
struct engine_eth {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO uint16_t _type; /* of what lies behind the tags; 0: IEEE 802.3, a length */
  ENGINE_RO uint16_t _vlan_tags;
  ENGINE_RO uint16_t _vlan, _inner_vlan;
  ENGINE_RO uint8_t _priority; /* of the outer tag */
};

/* ARP for IPv4 over Ethernet (RFC 826). */
struct engine_arp {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO struct engine_addr _sender, _target;
  ENGINE_RO uint16_t _op;
};

struct engine_ip {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO struct engine_addr _src, _dst;
  ENGINE_RO uint32_t _id; /* IPv6: of its fragment header */
  ENGINE_RO uint32_t _total_len;
  ENGINE_RO uint32_t _flow_label;
  ENGINE_RO uint16_t _header_len; /* IPv4: with options; IPv6: without extension headers */
  ENGINE_RO uint16_t _fragment_off;
  ENGINE_RO uint8_t _version, _tos, _ttl, _proto, _next_header;
  ENGINE_RO bool _has_id, _df, _mf, _has_hop_by_hop;
};

struct engine_tcp {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO uint32_t _seq, _ack, _ts_val, _ts_ecr, _payload_len;
  ENGINE_RO uint16_t _src_port, _dst_port, _window, _checksum, _urgent, _mss, _header_len;
  ENGINE_RO uint8_t _flags, _window_scale, _sack_blocks;
  ENGINE_RO bool _has_mss, _has_window_scale, _has_ts, _sack_permitted;
};

struct engine_icmp {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO struct engine_addr _inner_src, _inner_dst; /* of the packet that an error is about */
  ENGINE_RO struct engine_addr _target;                /* redirect: the better hop; neighbour discovery: who */
  ENGINE_RO uint32_t _mtu;
  ENGINE_RO uint16_t _id, _sequence, _inner_src_port, _inner_dst_port;
  ENGINE_RO uint8_t _type, _code, _version, _inner_proto;
  ENGINE_RO bool _has_id, _has_mtu, _has_target, _has_inner, _has_inner_ports, _is_error;
};

/* A DNS message (RFC 1035): `_off` is where its header begins. */
struct engine_dns {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO uint32_t _len;     /* as far as it was captured, in this segment */
  ENGINE_RO uint32_t _qname;   /* the first question's name; 0: there is no question */
  ENGINE_RO uint32_t _next_at; /* answers are read one behind the other: where the next one lies; 0: none was read */
  ENGINE_RO uint32_t _next;    /* and which one that is, from 1 */
  ENGINE_RO uint16_t _id, _flags, _qtype, _qclass;
  ENGINE_RO uint16_t _question_count, _answer_count, _authority_count, _additional_count;
  ENGINE_RO bool _truncated;
};

struct engine_dns_answer {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off; /* the message, as in engine_dns */
  ENGINE_RO uint32_t _len;
  ENGINE_RO uint32_t _name, _data, _data_len, _ttl;
  ENGINE_RO uint32_t _target; /* the name within the data; 0: there is none */
  ENGINE_RO struct engine_addr _address;
  ENGINE_RO uint16_t _type, _class, _priority;
  ENGINE_RO bool _has_address, _has_priority;
};

/* The head of an HTTP/1 message (RFC 9112). */
struct engine_http {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO uint32_t _len;
  ENGINE_RO uint32_t _method_len; /* the method lies at 0 */
  ENGINE_RO uint32_t _target, _target_len;
  ENGINE_RO uint32_t _reason, _reason_len;
  ENGINE_RO uint32_t _fields; /* where the header fields begin; 0: the first line is cut */
  ENGINE_RO uint16_t _status;
  ENGINE_RO uint8_t _minor; /* HTTP/1.minor */
  ENGINE_RO bool _is_request;
};

/* A TLS ClientHello (RFC 8446, section 4.1.2), as far as it lies in this segment. A length of 0: there is none. */
struct engine_tls {
  ENGINE_RO double _generation;
  ENGINE_RO uint32_t _packet;
  ENGINE_RO uint32_t _off;
  ENGINE_RO uint32_t _len;
  ENGINE_RO uint32_t _sni, _sni_len;
  ENGINE_RO uint32_t _alpn, _alpn_len;         /* the list: each with its length before it */
  ENGINE_RO uint32_t _versions, _versions_len; /* the list: two bytes each */
  ENGINE_RO uint32_t _ciphers, _ciphers_len;
  ENGINE_RO uint16_t _legacy_version, _version; /* the highest one offered */
  ENGINE_RO uint8_t _session_id_len;
  ENGINE_RO bool _truncated, _has_ech;
};

struct engine_span {
  uint32_t off;
  uint32_t len;
};

/* The names' buffer: 250 bytes at most in four labels or more, four characters each, and dots (RFC 1035, 2.3.4). */
enum { ENGINE_DNS_NAME_BYTES = 1024 };

struct engine_protocol_natives {
  /* Whether the packet is one; then the object is filled. */
  bool (*eth)(struct engine_eth*, const struct engine_cell*, const struct engine_packet*);
  bool (*arp)(struct engine_arp*, const struct engine_cell*, const struct engine_packet*);
  bool (*ip)(struct engine_ip*, const struct engine_cell*, const struct engine_packet*);
  bool (*tcp)(struct engine_tcp*, const struct engine_cell*, const struct engine_packet*);
  bool (*icmp)(struct engine_icmp*, const struct engine_cell*, const struct engine_packet*);
  bool (*dns)(struct engine_dns*, const struct engine_cell*, const struct engine_packet*, bool any_port);
  bool (*http)(struct engine_http*, const struct engine_cell*, const struct engine_packet*);
  bool (*tls)(struct engine_tls*, const struct engine_cell*, const struct engine_packet*);
  /* Texts. The object is of the current packet. */
  void (*mac_text)(const uint8_t*, char*); /* 17 bytes */
  /* The name at this place of a message as text, its length; 0: it is none. */
  uint32_t (*dns_name)(const uint8_t* message, uint32_t length, uint32_t at, bool lower, char*);
  /* The i-th answer, from 1; false: there is none, or it was not captured. */
  bool (*dns_answer)(struct engine_dns*, const struct engine_cell*, double i, struct engine_dns_answer*);
  /* The value of the first header field of that name; false: there is none, or its line is cut. */
  bool (*http_field)(const struct engine_http*, const struct engine_cell*, const char*, uint32_t, struct engine_span*);
  /* Bytes up to the empty line behind the header fields, that line included; 0: it was not captured. */
  uint32_t (*http_head_len)(const struct engine_http*, const struct engine_cell*);
  double (*decimal)(const uint8_t*, uint32_t); /* a number of decimal digits, at most 15; -1: it is none */
};

#ifdef __cplusplus
}
#endif
