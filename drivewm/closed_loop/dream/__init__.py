"""The dream: an environment in which a world model gives the next observation. It is no measure of driving."""
