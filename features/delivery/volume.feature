Feature: What holds for a few messages holds for very many
  Publishers and readers work at the same time, as fast as their clients can, and every single message is judged.
  How many messages there are is an option of the run. Not promised: any rate; what was measured is in the report.

  Rule: Volume changes no promise
    Not promised: that readers keep up with publishers at every moment.

    Scenario: Every one of very many messages is delivered while several publish and read at once
      Given a running broker
      And a topic with 4 partitions
      When several publishers send very many messages while several readers read them
      Then every acknowledged message is read once, in order and unchanged
