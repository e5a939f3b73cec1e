"""How vehicles move: kinematic bicycle, LQR tracker, IDM."""
