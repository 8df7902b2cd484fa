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
address in Produce and Fetch) have the address of every broker with a link replaced by the link's. So a proxy can be
put before brokers that already run, of whatever kind, for one scenario; restarts on the same port change nothing::

    with Proxy(run, broker.bootstrap_servers, listener=scene.note) as proxy:
        client.publisher(Connection(proxy.bootstrap_servers))

Brokers learn of each other elsewhere (in the cluster's metadata log), which no proxy can change. For faults between
brokers make the links first and have the brokers advertise them; such addresses are right and left alone::

    proxy = Proxy(run)
    front = proxy.link("broker 1")  # listens; turns everyone away while it leads nowhere
    broker = brokers.create({"advertised.listeners": f"PLAINTEXT://{front.address}"})
    proxy.lead("broker 1", broker.bootstrap_servers)

Operations
----------
Each returns a ``Fault``: ``count`` its strikes, ``wait()`` for them, ``lift()`` it (or use it as a context manager). A
fault is in force when the call returns, for requests that come from then on. Every strike is an event of the subject
"network" (the first hundred of one fault; lifting it reports the total).

Faults of one request or answer are chosen by ``api`` ("Produce", "EndTxn"; None is any), ``client`` (client id, ``*``
allowed), ``topic``, ``transactional_id``, ``connection`` (number) and ``link``. Among those chosen, ``n`` is the first
one struck (from 1), ``every`` the step to the next, ``times`` how many are struck (None: without end).

===================== =============================================== ================================================
operation             what happens                                    what it means to a client
===================== =============================================== ================================================
``drop_request``      the broker never gets it                        no answer: it times out; safe to retry
``drop_answer``       done, and the answer vanishes                   times out, or the next answer seems out of order;
                                                                      a retry may duplicate
``delay_request``     it, and all after it on its connection, is late slow, in order
``delay_answer``      done in time; the answer and all after it late  slow, in order
``cut_before``        connection closed, the broker did not get it    safe to retry
``cut_inside``        the broker gets a share of it, then the end     safe to retry: half a frame is no request
``cut_inside_answer`` done; the client gets a share of the answer     done, and the client cannot know
``lose_answer``       done; connection closed instead of the answer   done, and the client cannot know: a retry
                                                                      duplicates unless the broker recognises it
``hold``              kept back and its connection closed (with       the client tries again elsewhere; ``release()``
                      ``cut=False`` left open and unanswered)         sends the old request on a new connection, as if
                                                                      the network had been slow
``rewrite``           functions change the request, the answer, both  whatever the functions say
===================== =============================================== ================================================

Faults of connections are chosen by ``client``, ``connection`` and ``link`` (nothing chosen is all). A connection's
client is known from its first request on. Only ``cut_off`` counts its strikes, the connections it closed or refused.

``cut``        closes them, once; new ones are accepted. A network that hiccups.
``cut_off``    closes them, and every new one, until lifted. A partition that refuses.
``blackhole``  moves nothing either way until lifted; connecting still works, and what was sent arrives afterwards. A
               partition where packets vanish and TCP tries again.
``slow_down``  adds a delay to everything (seconds, each way) until lifted.
``throttle``   lets no more than so many bytes per second through, each way, until lifted.

A partition by address is ``cut_off(link="broker 2", client="payments")``, or without a client to cut the broker off
from everyone. Among brokers that advertise links, the one that connects is known by its client id: replicas fetch as
``broker-1-fetcher-0`` and so on, hence ``cut_off(link="broker 2", client="broker-1-*")``.

Rewriting
---------
``rewrite("Fetch", answer=function)`` calls ``function(message, exchange)`` with kafka-python's decoded message and an
``Exchange`` (who asked what; ``exchange.notes`` is shared by the request's and the answer's function). It may change
the message and return None, return another message, or return ``DROP``, ``CUT`` or, for a request, ``Reply(message)``:
the broker never gets the request and the client gets this answer (``answers.produced`` makes one for Produce).
Functions are called one after the other, and may use all of the proxy; ``proxy.ask(message, version)`` sends a request
of one's own. A function that raises costs its connection, is an event, and is raised again by ``proxy.check()`` and
``proxy.close()``.

Record batches are changed through ``Records``, which makes lengths, counts and CRCs right again::

    def change(answer, exchange):
        for topic in answer.responses:
            for partition in topic.partitions:
                records = Records.parse(partition.records)
                for entry in records.entries:
                    entry.value = entry.value.upper()
                partition.records = records.encode()

    with proxy.rewrite_answer("Fetch", change, topic="orders", client="reader-2"):
        ...

Bad input
---------
What is no Kafka frame (a length below 8 or above 100 MiB, the broker's own limit) makes its connection opaque: an
event says so, and from then on its bytes pass as they are, for the broker to refuse; faults of connections still work.
Frames that kafka-python cannot decode, or not encode again to the same bytes, pass unchanged, and when a rule wanted to
read one an event says so. Every wait is bounded; a function that takes longer than 30 s costs its connection.
``close()`` closes all sockets, ends the rewriting thread and returns the ports. The process forgets everything and is
kept for the next proxy of its run; it ends with the run, and when its caller dies. When it has ended by itself before,
or does not do as told, ``close()`` raises ProxyFailed with the end of its log, after everything else is released.
"""

from integrity.faults.network import answers
from integrity.faults.network.exchange import CUT, DROP, Exchange, Reply
from integrity.faults.network.fault import Fault, Held
from integrity.faults.network.process import ProxyFailed
from integrity.faults.network.proxy import Link, Proxy
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
    "answers",
]
