"""A run whose features are worked on by several processes at once.

A feature spends much of its time waiting: for a boot, for a session to expire, for a group to settle. Another one can
use the processors meanwhile. So a run may hand its features out to workers::

    behave  (the run: options, broker's choice, reports, what people see)
      |-- behave  (worker 1: its own brokers, its own corner of the machine; runs one feature after the other)
      |-- behave  (worker 2: the same)

Each worker is an ordinary run of the same command line; only its list of features grows as it is handed them, and
what it found goes back to the run instead of into reports. Workers share nothing, and no scenario depends on another,
so nothing else changes; what people see is in the order of the features, as if they had run one after the other.

A worker that dies (a client library that crashes takes its process along) costs the feature it was at: its scenarios
are errors that say so, and another worker takes its place. One that dies with no feature in hand costs none, as others
run what is left; the run is told at its end. Only when nobody is left and two in a row have died so, what is left to
run is not run: its scenarios are errors that say why.
"""
