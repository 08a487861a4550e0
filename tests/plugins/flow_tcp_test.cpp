// What a flow learns from TCP segments, as sentences: what is said, and the state, reason, retransmissions and round
// trip that follow.
#include "tests/plugins/flow_lab.h"

using lab::Flows;
using lab::Line;
using lab::Say;

namespace {

enum : std::uint8_t { F = 1, S = 2, R = 4, P = 8, A = 16 };

// A connection of which the client's first number is 100, the server's 500.
class Connection {
 public:
  explicit Connection(std::uint32_t client_isn = 100, std::uint32_t server_isn = 500)
      : client(client_isn), server(server_isn) {}

  void from_client(double at_s, std::uint8_t flags, std::uint32_t seq = 0, std::uint32_t ack = 0,
                   std::uint32_t payload = 0) {
    flow = flows.say({at_s, "10.0.0.1", 1000, "10.0.0.2", 80, 6, flags, client + seq, server + ack, payload});
  }
  void from_server(double at_s, std::uint8_t flags, std::uint32_t seq = 0, std::uint32_t ack = 0,
                   std::uint32_t payload = 0) {
    flow = flows.say({at_s, "10.0.0.2", 80, "10.0.0.1", 1000, 6, flags, server + seq, client + ack, payload});
  }
  void open() {
    from_client(0, S);
    from_server(0.010, S | A, 0, 1);
    from_client(0.013, A, 1, 1);
  }
  void close() {
    from_client(1.0, F | A, 1, 1);
    from_server(1.1, F | A, 1, 2);
    from_client(1.2, A, 2, 2);
  }
  std::string state() {
    std::vector<Line> lines = flows.finish(1000);
    EXPECT_FALSE(lines.empty());
    record = lines.empty() ? Line{} : lines.back();
    return record["state"];
  }

  std::uint32_t client, server;
  Flows flows;
  engine_flow* flow = nullptr;
  Line record;
};

TEST(FlowTcp, ASynAloneIsSynSent) {
  Connection c;
  c.from_client(0, S);
  EXPECT_EQ(c.state(), "syn_sent");
}

TEST(FlowTcp, AnAnsweredSynIsSynReceived) {
  Connection c;
  c.from_client(0, S);
  c.from_server(0.1, S | A, 0, 1);
  EXPECT_EQ(c.state(), "syn_received");
}

TEST(FlowTcp, TheThirdSegmentEstablishes) {
  Connection c;
  c.open();
  EXPECT_EQ(c.state(), "established");
  EXPECT_EQ(c.record["src"], "10.0.0.1");
  EXPECT_EQ(c.record["forward.flags"], "SA");
  EXPECT_EQ(c.record["reverse.flags"], "SA");
}

TEST(FlowTcp, OneFinIsClosingTwoAcknowledgedAreClosed) {
  Connection c;
  c.open();
  c.from_client(1.0, F | A, 1, 1);
  EXPECT_EQ(c.flow->state, ENGINE_FLOW_CLOSING);
  c.from_server(1.1, A, 1, 2);
  c.from_server(1.2, F | A, 1, 2);
  EXPECT_EQ(c.flow->state, ENGINE_FLOW_CLOSING);
  c.from_client(1.3, A, 2, 2);
  EXPECT_EQ(c.flow->state, ENGINE_FLOW_CLOSED);
}

TEST(FlowTcp, DataBehindOneSidesFinKeepsItClosing) {
  Connection c;
  c.open();
  c.from_client(1.0, F | A, 1, 1);
  for (std::uint32_t i = 0; i < 100; ++i) c.from_server(1.1 + i, A, 1 + i * 1000, 2, 1000);
  EXPECT_EQ(c.state(), "closing");
  EXPECT_EQ(c.record["reverse.retransmissions"], "0");
}

TEST(FlowTcp, AResetResetsInAnyState) {
  Connection refused;
  refused.from_client(0, S);
  refused.from_server(0.1, R | A, 0, 1);
  EXPECT_EQ(refused.state(), "reset");
  EXPECT_EQ(refused.record["reason"], "rst");
  Connection c;
  c.open();
  c.from_server(1, R);
  EXPECT_EQ(c.state(), "reset");
}

TEST(FlowTcp, AClosedConnectionEndsAfterTwoSecondsWithReasonFin) {
  Connection c;
  c.open();
  c.close();
  c.flows.advance(3.19);
  EXPECT_EQ(c.flows.table.size(), 1u);
  c.flows.advance(3.2);
  const std::vector<Line> lines = c.flows.publish();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("reason"), "fin");
  EXPECT_EQ(lines[0].at("state"), "closed");
}

TEST(FlowTcp, ALateAcknowledgementOpensNoOtherFlow) {
  Connection c;
  c.open();
  c.close();
  c.from_server(2.5, A, 2, 2);
  EXPECT_EQ(c.flows.table.size(), 1u);
  EXPECT_TRUE(c.flows.publish().empty());
}

TEST(FlowTcp, AnotherSynOnAClosedConnectionOpensAnotherOne) {
  Connection c;
  c.open();
  c.close();
  c.client = 5000;
  c.from_client(1.5, S);
  const std::vector<Line> lines = c.flows.publish();
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].at("reason"), "fin");
  EXPECT_EQ(c.flow->state, ENGINE_FLOW_SYN_SENT);
  EXPECT_EQ(c.state(), "syn_sent");
  EXPECT_NE(lines[0].at("flow_id"), c.record["flow_id"]);
  EXPECT_EQ(lines[0].at("community_id"), c.record["community_id"]);
}

TEST(FlowTcp, ASynSentAgainToAClosedPortStaysInItsFlow) {
  Connection c;
  c.from_client(0, S);
  c.from_server(0.1, R | A, 0, 1);
  c.from_client(0.5, S);
  c.from_server(0.6, R | A, 0, 1);
  EXPECT_EQ(c.flows.table.size(), 1u);
  EXPECT_TRUE(c.flows.publish().empty());
  EXPECT_EQ(c.state(), "reset");
}

TEST(FlowTcp, WhatIsSeenFromTheMiddleIsEstablished) {
  Connection c;
  c.from_server(0, A | P, 1000, 2000, 100);
  EXPECT_EQ(c.state(), "established");
  EXPECT_EQ(c.record["src"], "10.0.0.2") << "the first one seen";
  EXPECT_FALSE(c.record.contains("rtt_ms"));
}

TEST(FlowTcp, ASynAckTellsWhoBegan) {
  Connection c;
  c.from_server(0, S | A, 0, 1);
  EXPECT_EQ(c.state(), "syn_received");
  EXPECT_EQ(c.record["src"], "10.0.0.1");
  EXPECT_EQ(c.record["forward.packets"], "0");
}

TEST(FlowTcp, BothHalvesOfAConnectionHaveOneFlowId) {
  Connection forward, reverse;
  forward.from_client(0, S);
  reverse.from_server(0.1, S | A, 0, 1);
  forward.state();
  reverse.state();
  EXPECT_EQ(forward.record["flow_id"], reverse.record["flow_id"]);
}

TEST(FlowTcp, ANullScanIsNew) {
  Connection c;
  c.from_client(0, 0);
  EXPECT_EQ(c.state(), "new");
}

// --- retransmissions
// --------------------------------------------------------------------------------------------------

TEST(FlowTcp, PayloadThatIsSentAgainCounts) {
  Connection c;
  c.open();
  c.from_client(1, A | P, 1, 1, 100);
  c.from_client(2, A | P, 101, 1, 100);
  c.from_client(3, A | P, 1, 1, 100);
  c.from_client(3, A | P, 51, 1, 100);
  EXPECT_EQ(c.state(), "established");
  EXPECT_EQ(c.record["forward.retransmissions"], "2");
  EXPECT_EQ(c.record["reverse.retransmissions"], "0");
}

TEST(FlowTcp, PureAcknowledgementsAndKeepAlivesDoNotCount) {
  Connection c;
  c.open();
  c.from_client(1, A | P, 1, 1, 100);
  for (int i = 0; i < 5; ++i) c.from_client(2 + i, A, 101, 1);
  c.from_client(10, A, 100, 1);     // a keep-alive without a byte
  c.from_client(11, A, 100, 1, 1);  // and with the last one
  c.state();
  EXPECT_EQ(c.record["forward.retransmissions"], "0");
}

TEST(FlowTcp, SynAndFinThatAreSentAgainCount) {
  Connection c;
  c.from_client(0, S);
  c.from_client(1, S);
  c.from_server(1.1, S | A, 0, 1);
  c.from_client(1.2, A, 1, 1);
  c.from_client(2, F | A, 1, 1);
  c.from_client(3, F | A, 1, 1);
  c.state();
  EXPECT_EQ(c.record["forward.retransmissions"], "2");
}

TEST(FlowTcp, SequenceNumbersWrap) {
  Connection c(0xffffff00u);
  c.open();
  for (std::uint32_t i = 0; i < 10; ++i) c.from_client(1 + i, A | P, 1 + i * 100, 1, 100);
  EXPECT_LT(c.flow->end[0] < c.flow->end[1] ? c.flow->end[0] : c.flow->end[1], 0x1000u) << "it did wrap";
  c.from_client(20, A | P, 1, 1, 100);
  c.state();
  EXPECT_EQ(c.record["forward.retransmissions"], "1");
}

TEST(FlowTcp, ASegmentFromNowhereDoesNotMakeTheRestRetransmissions) {
  Connection c;
  c.open();
  c.from_client(1, A | P, 1, 1, 100);
  c.from_client(2, A | P, 0x7ffffff0u, 1, 100);
  c.from_client(3, A | P, 101, 1, 100);
  c.from_client(4, A | P, 201, 1, 100);
  c.state();
  EXPECT_EQ(c.record["forward.retransmissions"], "0");
}

// --- round-trip times
// -------------------------------------------------------------------------------------------------

TEST(FlowTcp, TheHandshakeGivesBothPartsOfTheRoundTrip) {
  Connection c;
  c.open();
  c.state();
  EXPECT_EQ(c.record["rtt_responder_ms"], "10");
  EXPECT_EQ(c.record["rtt_initiator_ms"], "3");
  EXPECT_EQ(c.record["rtt_ms"], "13");
}

TEST(FlowTcp, ASynThatWasSentAgainLeavesTheWayToTheResponderUnknown) {
  Connection c;
  c.from_client(0, S);
  c.from_client(1, S);
  c.from_server(1.5, S | A, 0, 1);
  c.from_client(1.6, A, 1, 1);
  c.state();
  EXPECT_FALSE(c.record.contains("rtt_ms"));
  EXPECT_FALSE(c.record.contains("rtt_responder_ms"));
  EXPECT_EQ(c.record["rtt_initiator_ms"], "100");
}

TEST(FlowTcp, ASynAckThatWasSentAgainLeavesTheWayToTheInitiatorUnknown) {
  Connection c;
  c.from_client(0, S);
  c.from_server(0.5, S | A, 0, 1);
  c.from_server(1.5, S | A, 0, 1);
  c.from_client(1.6, A, 1, 1);
  c.state();
  EXPECT_EQ(c.record["rtt_responder_ms"], "500");
  EXPECT_FALSE(c.record.contains("rtt_initiator_ms"));
  EXPECT_FALSE(c.record.contains("rtt_ms"));
}

TEST(FlowTcp, AnAnswerToAnotherSynGivesNoTime) {
  Connection c;
  c.from_client(0, S);
  c.from_server(0.5, S | A, 0, 7);
  c.from_client(0.6, A, 1, 1);
  c.state();
  EXPECT_FALSE(c.record.contains("rtt_responder_ms"));
}

// --- hostile input
// ----------------------------------------------------------------------------------------------------

TEST(FlowTcp, AnySegmentsLeaveValidRecords) {
  std::uint32_t seed = 1;
  const auto random = [&] { return seed = seed * 1664525 + 1013904223; };
  Flows flows({.idle_ns = 3e9, .active_ns = 5e9, .max_flows = 64}, 1'000'000);
  for (int i = 0; i < 200'000; ++i) {
    Say say{.at_s = i * 1e-3 - (random() >> 24) * 1e-3, .proto = 6};
    if ((random() >> 16 & 1) != 0) std::swap(say.from, say.to), std::swap(say.from_port, say.to_port);
    if ((random() >> 16 & 3) == 0) say.from_port = static_cast<std::uint16_t>(random() >> 20);
    say.flags = static_cast<std::uint8_t>(random() >> 16);
    say.seq = random();
    say.ack = random();
    say.payload = random() >> 20;
    say.fragment = (random() >> 16 & 15) == 0;
    flows.say(say);
    if (i % 777 == 0) flows.advance(i * 1e-3);
  }
  std::uint64_t packets = 0;
  const std::vector<Line> lines = flows.finish(1000);
  for (const Line& line : lines)
    packets += std::stoull(line.at("forward.packets")) + std::stoull(line.at("reverse.packets"));
  EXPECT_EQ(packets, 200'000u) << "every packet is in exactly one record";
  EXPECT_EQ(flows.table.size(), 0u);
}

}  // namespace
