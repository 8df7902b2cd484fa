@own_broker
Feature: Flushed messages survive a power loss
  A broker writes a message to its files and acknowledges it; the system puts it on the disk later, or at once where
  the topic asks for that with every message. When the power fails, what was not flushed is gone.
  Not promised: that a single broker keeps what it has acknowledged and not flushed. That is what replicas are for.

  Background:
    Given a broker that keeps account of what it has flushed
    And a topic with 3 partitions

  Rule: What was flushed before the power failed is there when the broker is back
    Whatever the disk has left behind it: the broker goes through the unflushed end of its logs when it starts.
    Not promised: anything about the messages that were not flushed; some of them may be there.

    Scenario Outline: Flushed messages survive a power loss that leaves <remains> of the unflushed ones
      Given 2,000 messages were acknowledged and flushed
      And 2,000 messages were acknowledged and not flushed
      When the power fails, and <remains> is left of what was written last
      And a publisher sends 3,000 messages to all partitions in turn
      Then every acknowledged message is read once, in order and unchanged

      Examples:
        | remains          |
        | half a batch     |
        | a block of zeros |

  Rule: With a flush for every message, every acknowledged message survives a power loss
    Not promised: the speed that publishing has without it.

    Scenario: Everything acknowledged survives a power loss when every message is flushed
      Given 3,000 messages were acknowledged and flushed
      When the power fails
      Then every acknowledged message is read once, in order and unchanged
