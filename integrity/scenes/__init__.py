"""What the steps of one area of sentences call: several clients at once, groups, content, volume."""
