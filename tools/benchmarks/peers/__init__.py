"""Networks of other projects' published sizes, written anew, to be timed beside ours. Weights are random."""
