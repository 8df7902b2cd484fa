"""Faults on the wire: a proxy that speaks Kafka.

Model
-----
A ``Proxy`` has *links*. A link is a port on loopback that leads to one broker. A client that connects to a link gets
a *connection* of its own to that broker; on it, *requests* go one way and *answers* the other, as frames::

    client ── 127.0.0.1:link ──> proxy ──> broker
           <───── answers ─────        <──

The proxy is a process of its own, because a thread would have to share the interpreter with the client under test.
It looks at the head of every frame (length, API, version, correlation id, client id) and moves the rest unread. Only
frames that a rule in force may concern are put together, decoded and, if the rule says so, changed. Functions that
change messages run in the caller's process, on a thread of the proxy's: closures, lists and locks of a test just work.

Brokers tell clients where they are. Answers that do (Metadata, FindCoordinator, DescribeCluster, and the new leader's
address in Produce and Fetch) have the address of every broker with a link replaced by the link's, so a proxy can be put
before a broker that already runs, of whatever kind, for one scenario. Where brokers are to reach *each other* through
links (partitions between brokers), make the links first and have the brokers advertise them: such addresses are
left alone, they are right already::

    with Proxy(run) as proxy:
        front = proxy.link("broker 1")                      # listens; leads nowhere yet
        broker = brokers.create({"advertised.listeners": f"PLAINTEXT://{front.address}"})
        proxy.lead("broker 1", broker.bootstrap_servers)

Operations
----------
Everything returns a ``Fault`` that counts its strikes, is waited for, and is lifted. Every strike is an event of the
subject "network".

Faults of one request or answer. They are chosen by ``api`` ("Produce", "EndTxn", ...; None is any), ``client`` (client
id, ``*`` allowed), ``topic``, ``transactional_id``, ``connection`` and ``link``; among those chosen, ``n`` is the first one
struck (from 1), ``every`` the step to the next and ``times`` how many are struck (None: without end).

=================== ==================================================== =====================================================
operation           what happens                                         what it means to a client
=================== ==================================================== =====================================================
``drop_request``    the broker never gets it                             no answer: the request times out
``drop_answer``     done by the broker, the answer vanishes              as above; a later answer in its place ends the
                                                                         connection in most clients
``delay_request``   it and what follows on the connection come later     slow answers, in order
``delay_answer``    the same for answers                                 the same, and the work was done at once
``cut_before``      connection closed, the broker did not get it         safe to retry
``cut_inside``      the broker gets part of it, then the end             safe to retry: half a frame is no request
``cut_inside_answer`` the client gets part of the answer, then the end   done by the broker, and the client cannot know
``lose_answer``     done by the broker, connection closed instead        done, and the client cannot know: a retry
                                                                         duplicates unless it is recognised
``hold``            kept back, connection closed (``cut=False``: kept    the client retries elsewhere; ``release`` then sends
                    open), sent by ``release()`` on a new connection     the old request as if the network had kept it
``rewrite``         functions change the request, the answer, or both    whatever the functions say
=================== ==================================================== =====================================================

Faults of connections, chosen by ``client``, ``connection`` and ``link`` (nothing chosen is all):

``cut``        closes them once. New ones are accepted: a network that hiccups.
``cut_off``    closes them, and every new one, until lifted: a partition where hosts say "no route".
``blackhole``  moves nothing either way until lifted; connecting still works, and what was sent before and meanwhile arrives
               afterwards: a partition where packets vanish and TCP tries again.
``slow_down``  adds a delay to everything (seconds, each way).
``throttle``   limits bytes per second, each way.

A partition by address is ``cut_off(link="broker 2", client="payments")``, or no client to cut that broker off from
everyone. For brokers among themselves give each pair a link of its own (``proxy.link("1 to 2", ...)``).

Rewriting
---------
``rewrite("Fetch", answer=function)`` calls ``function(message, exchange)`` with kafka-python's decoded message object and an
``Exchange`` (who asked what; ``exchange.notes`` is a dict shared by the request's and the answer's function). It may change
the message in place and return None, return another message, or return ``DROP``, ``CUT`` or, for a request,
``Reply(message)``: the broker never gets the request and the client gets this answer. Record batches are changed through
``integrity.faults.network.records``, which makes lengths, counts and CRCs right again. ``proxy.ask(message)`` sends a request
of one's own, from within such a function as well. A function that raises costs the connection, is an event, and
is raised again by ``proxy.check()`` and ``proxy.close()``.

Bad input
---------
What is no Kafka frame (a length below 8 or above 100 MiB, as the broker's own limit) makes its connection opaque: an event
says so, and from then on bytes pass as they are, for the broker to refuse; faults of connections still work. Frames
that kafka-python cannot decode, or not encode again to the same bytes, pass unchanged; when a rule wanted to read one, an
event says so. Every wait is bounded. ``close()`` ends the process, both threads, all sockets, and returns the ports.
"""

from integrity.faults.network.exchange import CUT, DROP, Exchange, Reply
from integrity.faults.network.fault import Fault, Held
from integrity.faults.network.proxy import Link, Proxy, ProxyFailed
from integrity.faults.network.records import Batch, Entry, Records

__all__ = [
    "CUT",
    "DROP",
    "Batch",
    "Entry",
    "Exchange",
    "Fault",
    "Held",
    "Link",
    "Proxy",
    "ProxyFailed",
    "Records",
    "Reply",
]
