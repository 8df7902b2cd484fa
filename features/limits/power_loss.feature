Feature: A single broker that leaves flushing to the system may lose acknowledged messages
  An acknowledgement says that the leader and all in-sync replicas have the message, not that it is on a disk. By
  default Kafka flushes a log only when it begins a new file of it, or stops in order, and relies on replicas in other
  places. With one broker there is no other place. These scenarios show that the loss happens, and that it is found.

  Rule: What was acknowledged and not flushed may be gone after a power loss
    What protects: replicas that do not lose their power together, or a flush for every message.

    Scenario: Acknowledged messages that were never flushed are lost with the power, and the loss is found
      Given a running broker
      And a topic with 3 partitions
      And 3,000 messages were acknowledged
      When the power fails
      Then acknowledged messages are found to be lost on disk

  Rule: What was acknowledged is gone when the volume is gone
    What protects: replicas on other volumes.

    Scenario: Every acknowledged message is lost when the broker comes back with an empty volume, and the loss is found
      Given a running broker
      And a topic with 3 partitions
      And 3,000 messages were acknowledged
      When the broker is stopped, all its data is gone, and it is started again
      Then every acknowledged message is found to be lost on disk
