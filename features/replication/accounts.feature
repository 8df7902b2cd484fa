@cluster
Feature: Groups and transactions survive the loss of the broker that keeps their account
  What a consumer group has committed, and how a transaction ended, is kept in topics with replicas of their own. One of
  their leaders is the group's or the transactions' coordinator; another broker takes that over.
  Not promised: that a member is not handed again what it had processed and not yet committed.

  Background:
    Given three running brokers
    And a topic with 3 partitions and 3 replicas, 2 of which must be in sync

  Rule: A group keeps its place when its coordinator is lost
    That broker leads partitions as well, which others take over.
    Not promised: that a commit succeeds at once while nobody coordinates.

    Scenario: A group is handed everything, and nothing again that it had committed, when its coordinator is killed
      Given a publisher is at work
      And a consumer group with 2 members at work, whose sessions last longer than a restart
      When the coordinator of the group is killed and started again in the middle of it
      Then partitions that it reads had another leader meanwhile
      And what an earlier group had committed is still known
      And the group gets to the end
      And every group is handed every message
      And nothing is handed out again that the group had committed
      And every acknowledged message is read once, in order and unchanged

  Rule: A transaction is committed as a whole or not at all when its coordinator or a leader is lost
    A publisher that is not told how its transaction ended lets a successor settle it.
    Not promised: that a transaction under way at that moment is committed.

    Scenario Outline: Transactions are seen whole or not at all when the <role> is killed
      Given a transactional publisher is at work, and a reader of committed messages follows it
      When the <role> is killed and started again in the middle of it
      Then the transactions go on
      And every acknowledged message is read once, in order and unchanged

      Examples:
        | role                            |
        | coordinator of the transactions |
        | leader                          |

  Rule: A group that reads, and writes what it makes of it, does so exactly once when its brokers are lost
    It does both in one transaction: what it writes, and how far it has read. Here it makes a copy of every message.
    Not promised: anything it does elsewhere, in a database say, at the same time.

    Scenario: Every message is copied exactly once although every broker is killed, one after the other
      Given a group whose members copy every message from one topic to another in transactions
      When every broker is killed and started again, one after the other, while it copies
      Then every message is copied exactly once, in order and unchanged
