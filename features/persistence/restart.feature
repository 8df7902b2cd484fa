Feature: Acknowledged messages survive a broker restart
  Once a broker has acknowledged a message it is kept for as long as the topic's retention says,
  whether or not the broker stays up. Not promised: messages that were never acknowledged; or, where there is one broker
  only, those that were not on its disk yet when its machine lost its power.

  Rule: What was acknowledged before the broker went down is there when it is back
    The broker comes back on the same data and at the same address.
    Not promised: that anything can be published or read while the broker is down.

    Scenario: A message is still there after the broker was stopped and started
      Given a running broker
      And the message "Persistent Message" was acknowledged on topic "test_topic"
      When the broker is stopped and started again
      Then the first message a new reader of topic "test_topic" gets is "Persistent Message"
      And topic "test_topic" holds exactly the message "Persistent Message"

    Scenario: Everything acknowledged is read back after the broker was stopped and started
      Given a running broker
      And a topic with 3 partitions
      And 10,000 messages were acknowledged
      When the broker is stopped and started again
      Then every acknowledged message is read once, in order and unchanged
