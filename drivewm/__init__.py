"""drivewm: an open world model for autonomous driving."""
