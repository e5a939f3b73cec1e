"""From what is observed to where to drive: planner protocol, baselines, the learned trajectory head."""
