"""One job, from a configuration to a run folder."""
