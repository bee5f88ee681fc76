"""Files and hub datasets become shards of cases."""
