"""Proof that every check can fail: the features, unchanged, on a broker that is sabotaged while they run.

Who is who
----------
A *sabotage* is something a broker must never do: acknowledge a message and forget it, say. It is done to a real broker
from outside: on the wire, by a proxy between the broker and the suite's clients, or on its disk while it is down. The
suite's clients, history, checks, steps and features are what is being tested here, and are not touched.

A *check* is one of the anomalies (``integrity/anomalies/*.sql``), or a sentence of a scenario that compares what the
history does not hold (what a group was handed, a topic's settings).

For each sabotage the *table* names the check that must fail, those that may fail as well because the sabotage really is
that anomaly too, and the scenarios that meet it. A check that stays silent is a *miss*; any other one that speaks is a
*false alarm*, and so is every error. The same scenarios without a sabotage, behind the same proxy, must pass.

How it is done
--------------
``python -m integrity.prove`` plans the jobs (a scenario under a sabotage, or under none) and has them run by a few
processes (``stage``), each of which runs behave as ``make verify`` does, with two things exchanged before: the
maker of brokers, whose brokers hand out the proxy's address and are tampered with before a restart, and the folder
of the reports. behave goes on after a failed sentence, so that the verdict is always asked for.

``table``       what is done, what must notice it, and why; the only place that knows
``publishing``, ``reading``, ``disk``  the sabotages themselves
``saboteur``    the proxy and the brokers behind it
``stage``       one process: jobs in, outcomes out
``judgement``   outcomes against the table
``report``      the matrix, for the terminal, as a page and as JSON
"""
