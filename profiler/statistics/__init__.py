"""Statistics of latency measurements: pure functions of numbers, without input or output.

A latency is positive and noise acts on it as a factor, so everything is computed on logarithms.
With session s, cell c and run i::

    log latency[s, c, i] = mu[c] + b[s] + g[s, c] + e[s, c, i]

`b` is what a session does to all its cells, `g` what it does to one of them (a fresh load, another
memory layout), `e` what differs from run to run. The modules, in the order a measurement uses them:

* `runs`: the runs of one (session, cell), in `clock`, `warmup` and `modes`, and the one number that
  they give, in `location`;
* `change_points`, `drift`, `covariate`: what the interleaved reference model says about time;
* `two_way`, `moderation`: session effects and variances, shared across cells;
* `interval`, `stopping`: estimates over sessions, and when they are good enough;
* `variance_components`, `compare`: how noisy a set-up is, and whether two of them differ.
"""
