"""Block tables: latencies of single blocks, whose sum predicts the latency of a subnet."""
