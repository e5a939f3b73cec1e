"""Scores of arrays and structures: `functional` is pure maths, `metrics` wraps it for mmengine. No model runs here."""
