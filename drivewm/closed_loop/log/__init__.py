"""A recorded drive as a closed loop: the ego may leave the path that was driven."""
